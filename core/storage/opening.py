"""Opening the storage of a job: its team's bucket, or the operator's storage."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from core.database import Database
from core.secrets import SecretBox
from core.storage.base import Storage
from core.storage.s3 import S3Storage
from core.storage.team import TeamStorage, bucket_of

# A client keeps its connections, and takes a tenth of a second to make.
MOST_OPEN: Final = 64


class Storages:
    """Keeps what it opened for as long as the way to open it stays the same.

    Args:
        operator: the storage of jobs whose team has none of its own.
    """

    def __init__(
        self,
        operator: Storage,
        database: Database,
        box: SecretBox,
        trusted_origins: Sequence[str],
    ) -> None:
        self._operator = operator
        self._database = database
        self._box = box
        self._trusted = tuple(trusted_origins)
        self._open: OrderedDict[str, tuple[datetime, Storage]] = OrderedDict()

    async def open(self, storage_id: str | None) -> Storage:
        """The storage with this id, as its team wants it opened now.

        Raises:
            Unavailable: the database is away, or the credentials do not open with our keys.
        """
        if storage_id is None:
            return self._operator
        async with self._database.begin() as session:
            row = await session.get_one(TeamStorage, storage_id)
        if row.managed:
            return self._operator
        known = self._open.get(storage_id)
        if known is None or known[0] != row.updated_at:
            bucket = bucket_of(row, self._box, self._trusted)
            known = row.updated_at, await asyncio.to_thread(S3Storage, bucket)
            self._open[storage_id] = known
        self._open.move_to_end(storage_id)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return known[1]

"""The job's own objects in storage, for a bot in a meeting: off the event loop, within bounds."""

from __future__ import annotations

import asyncio
from typing import Final

from core.errors import BadInput, StorageError
from core.storage.base import Storage

# More than this is not handed to a meeting page.
MAX_MEDIA_BYTES: Final = 64 * 1024 * 1024
TIMEOUT_SECONDS: Final = 20.0


class JobObjects:
    """Objects below `recordings/<jobId>/`; without a storage every call says that there is none."""

    def __init__(self, storage: Storage | None, job_id: str) -> None:
        self._storage = storage
        self._prefix = f"recordings/{job_id}/"

    async def fetch_media(self, key: str) -> bytes:
        """What was uploaded to be said or shown.

        Raises:
            BadInput: the key is not one of this job's media, or the object is too large.
            StorageError: it cannot be had.
        """
        if not key.startswith(f"{self._prefix}.media/"):
            raise BadInput(f"{key!r} is not media of this job.")
        storage = self._open()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            size = (await asyncio.to_thread(storage.head, key)).size
            if size > MAX_MEDIA_BYTES:
                raise BadInput(f"{size} bytes are too many to play; at most {MAX_MEDIA_BYTES}.")
            return await asyncio.to_thread(storage.get_bytes, key)

    async def keep_screenshot(self, command_id: str, png: bytes) -> str:
        """Store a screenshot; its key.

        Raises:
            StorageError: it cannot be stored.
        """
        key = f"{self._prefix}screenshots/{command_id}.png"
        storage = self._open()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.to_thread(storage.put_bytes, key, png, "image/png")
        return key

    def _open(self) -> Storage:
        if self._storage is None:
            raise StorageError("This bot was started without a storage to read from or write to.")
        return self._storage

"""Each team's own storage: what is kept of it, which of it a job uses, and opening it (API-84).

A row is a place: endpoint, bucket, prefix. New credentials for the same place change its row, so
that jobs which began there can go on; another place is another row, and jobs that have begun keep
theirs. The team's choice is the row that was selected last.
"""

import json
from datetime import datetime
from typing import Final, Literal, cast

from pydantic import BaseModel, SecretStr
from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.columns import sealed, timestamp
from core.errors import BadInput, Issue
from core.ids import new_id
from core.secrets import SecretBox
from core.settings import StorageSettings
from core.storage.s3 import Bucket, Encryption

NO_STORAGE: Final = (
    "The team has no storage, so there is nowhere to put a recording. Set its S3 bucket with "
    'PUT /api/v1/settings/storage, or opt in to the operator\'s bucket with {"managed": true}.'
)
NO_STORAGE_AT_ALL: Final = (
    "The team has no storage, so there is nowhere to put a recording. Set its S3 bucket with "
    "PUT /api/v1/settings/storage."
)
# The bucket of a row that stands for the operator's storage.
OPERATORS: Final = ""


class TeamStorage(SQLModel, table=True):
    """A place for recordings. Both keys are sealed in `credentials`, as JSON (D21)."""

    __tablename__ = "team_storages"
    __table_args__ = (UniqueConstraint("team_id", "endpoint", "bucket", "prefix"),)

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    # Empty: Amazon's own, of the region.
    endpoint: str = ""
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    credentials: str | None = Field(default=None, sa_column=sealed(nullable=True))
    force_path_style: bool = False
    encryption: str | None = None
    kms_key_id: str | None = None
    created_at: datetime = Field(sa_column=timestamp())
    updated_at: datetime = Field(sa_column=timestamp())
    selected_at: datetime = Field(sa_column=timestamp())

    @property
    def managed(self) -> bool:
        """Whether this is the team's wish to use the operator's storage (MF-21)."""
        return self.bucket == OPERATORS

    @property
    def uri(self) -> str | None:
        """`s3://<bucket>[/<prefix>]`; None for the operator's."""
        if self.managed:
            return None
        return f"s3://{'/'.join(part for part in (self.bucket, self.prefix) if part)}"


class Keys(BaseModel):
    """What opens a bucket."""

    access_key_id: str
    secret_access_key: SecretStr

    def sealed(self, box: SecretBox) -> str:
        secret = self.secret_access_key.get_secret_value()
        plain = {"access_key_id": self.access_key_id, "secret_access_key": secret}
        return box.seal(SecretStr(json.dumps(plain)))


async def current_storage(session: AsyncSession, team_id: str) -> TeamStorage | None:
    """What the team chose last; None when it chose nothing yet."""
    statement = (
        select(TeamStorage)
        .where(TeamStorage.team_id == team_id)
        .order_by(col(TeamStorage.selected_at).desc(), col(TeamStorage.id).desc())
        .limit(1)
    )
    return (await session.exec(statement)).one_or_none()


async def storage_for(
    session: AsyncSession, team_id: str, *, livemode: bool, settings: StorageSettings
) -> str | None:
    """The id of the storage of a new job; None for the operator's.

    Test jobs of a team without a bucket use the operator's, as the sandbox has it (AU-06).

    Raises:
        BadInput: a live job would have no storage (MF-21).
    """
    chosen = await current_storage(session, team_id)
    if chosen is not None and not chosen.managed:
        return chosen.id
    if not livemode or settings.managed_for == "everyone":
        return None
    if chosen is not None and settings.managed_for == "opt_in":
        return None
    message = NO_STORAGE if settings.managed_for == "opt_in" else NO_STORAGE_AT_ALL
    raise BadInput(message, [Issue(("storage",), "no_storage", message)])


def keys_of(row: TeamStorage, box: SecretBox) -> Keys:
    """The opened credentials of a row that is not the operator's."""
    if row.credentials is None:
        raise BadInput(f"The storage {row.id} has no credentials.")
    return Keys.model_validate_json(box.open(row.credentials).get_secret_value())


def bucket_of(row: TeamStorage, box: SecretBox, trusted_origins: tuple[str, ...]) -> Bucket:
    """How to open a row that is not the operator's."""
    keys = keys_of(row, box)
    mode = cast("Literal['AES256', 'aws:kms'] | None", row.encryption)
    return Bucket(
        name=row.bucket,
        prefix=row.prefix,
        endpoint=row.endpoint or None,
        region=row.region,
        access_key_id=SecretStr(keys.access_key_id),
        secret_access_key=keys.secret_access_key,
        force_path_style=row.force_path_style,
        encryption=Encryption(mode, row.kms_key_id) if mode is not None else None,
        trusted_origins=trusted_origins,
    )


async def place(session: AsyncSession, wanted: TeamStorage) -> TeamStorage:
    """Make `wanted` its team's choice: the row of its place, with these ways to open it.

    The caller holds the team's row. Jobs that have not begun follow (`core.jobs.moving`).
    """
    statement = select(TeamStorage).where(
        TeamStorage.team_id == wanted.team_id,
        TeamStorage.endpoint == wanted.endpoint,
        TeamStorage.bucket == wanted.bucket,
        TeamStorage.prefix == wanted.prefix,
    )
    row = (await session.exec(statement)).one_or_none()
    if row is None:
        row = wanted
        row.id = new_id("sto")
    else:
        for name in ("region", "credentials", "force_path_style", "encryption", "kms_key_id"):
            setattr(row, name, getattr(wanted, name))
        row.updated_at, row.selected_at = wanted.updated_at, wanted.selected_at
    session.add(row)
    await session.flush()
    return row

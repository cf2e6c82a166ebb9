"""Requests that are carried out once, however often they are sent (API-63)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.columns import sealed, timestamp
from core.errors import IdempotencyMismatch
from core.ids import new_id

# So long the same key stands for the same request.
KEPT: Final = timedelta(hours=24)
# Longer than any request takes: after it, whoever carries one out must have died.
CLAIMED: Final = timedelta(minutes=3)


class IdempotentRequest(SQLModel, table=True):
    """A request by its team and key, and what it was answered."""

    __tablename__ = "idempotent_requests"

    # The team and the mode.
    scope: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    # What the request makes gets its id from this, so that a second attempt finds it made.
    seed: str
    claimed_until: datetime = Field(sa_column=timestamp())
    created_at: datetime = Field(sa_column=timestamp(index=True))
    # Answers may hold new keys.
    answer: str | None = Field(default=None, sa_column=sealed(nullable=True))


@dataclass(frozen=True)
class Claim:
    """What to do: carry out (`ours`), give `answer` again, or wait for whoever is at it."""

    ours: bool
    seed: str
    answer: str | None = None


async def claim(
    session: AsyncSession, scope: str, key: str, fingerprint: str, *, now: datetime
) -> Claim:
    """Take the request, if nobody has.

    Raises:
        IdempotencyMismatch: the key stands for another request.
    """
    fresh = {
        "fingerprint": fingerprint,
        # Of this moment, as ids are.
        "seed": new_id("job", now).removeprefix("job_"),
        "claimed_until": now + CLAIMED,
        "created_at": now,
        "answer": None,
    }
    added = insert(IdempotentRequest).values(scope=scope, key=key, **fresh).on_conflict_do_nothing()
    if (await session.exec(added.returning(col(IdempotentRequest.key)))).first() is not None:
        return Claim(True, str(fresh["seed"]))
    row = (
        await session.exec(
            select(IdempotentRequest)
            .where(IdempotentRequest.scope == scope, IdempotentRequest.key == key)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        # It was refused between our two looks; whoever sends it again is the first.
        return Claim(False, "")
    if row.created_at + KEPT <= now:
        row.sqlmodel_update(fresh)
        return Claim(True, row.seed)
    if row.fingerprint != fingerprint:
        raise IdempotencyMismatch(
            "This Idempotency-Key was used for another request in the last 24 hours. Send a new "
            "one, or the very same method, path and body."
        )
    if row.answer is not None:
        return Claim(False, row.seed, row.answer)
    if row.claimed_until > now:
        return Claim(False, row.seed)
    row.claimed_until = now + CLAIMED
    return Claim(True, row.seed)


async def keep(session: AsyncSession, scope: str, key: str, answer: str) -> None:
    """Remember the sealed `answer` of a request that was carried out."""
    await session.exec(_row(update(IdempotentRequest), scope, key).values(answer=answer))


async def drop(session: AsyncSession, scope: str, key: str) -> None:
    """Nothing was done: the key is free for a better request."""
    await session.exec(_row(delete(IdempotentRequest), scope, key))


async def give_back(session: AsyncSession, scope: str, key: str, *, now: datetime) -> None:
    """It is not known what was done: the same request may be tried again at once."""
    await session.exec(_row(update(IdempotentRequest), scope, key).values(claimed_until=now))


async def forget_requests(session: AsyncSession, *, now: datetime) -> None:
    """Remove what is too old to be given again."""
    old = col(IdempotentRequest.created_at) <= now - KEPT
    await session.exec(delete(IdempotentRequest).where(old))


def _row(statement: Any, scope: str, key: str) -> Any:
    return statement.where(col(IdempotentRequest.scope) == scope, col(IdempotentRequest.key) == key)

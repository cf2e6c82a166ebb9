"""The ledger of deliveries as customers use it: look up, send again (API-34, API-35, WH-27, 28)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, literal_column
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import DELIVERIES_CHANNEL, notify
from core.errors import NotFound
from core.ids import first_id, new_id, parse_id
from core.webhooks.events import EventName
from core.webhooks.models import Delivery, DeliveryAttempt, DeliveryStatus


@dataclass(frozen=True)
class DeliveryFilter:
    """None means any."""

    job_id: str | None = None
    event: EventName | None = None
    status: DeliveryStatus | None = None


@dataclass(frozen=True)
class Replay:
    """Which deliveries to send again: those emitted from `since` on and before `until`.

    `status` `EXHAUSTED` means those that never arrived, by any later resend either; `DELIVERED`
    those that did; None all of both. What is still being tried is left alone, and so is what was
    sent again: only originals are replayed.
    """

    id: str
    since: datetime
    until: datetime
    event: EventName | None = None
    status: DeliveryStatus | None = None


async def owned_delivery(
    session: AsyncSession, team_id: str, livemode: bool, text: str
) -> Delivery:
    """A team's delivery by its id.

    Raises:
        NotFound: unknown, another team's, of the other mode, or never addressed to anybody.
    """
    delivery_id = parse_id("dlv", text)
    row = await session.get(Delivery, delivery_id) if delivery_id is not None else None
    if (
        row is None
        or (row.team_id, row.livemode) != (team_id, livemode)
        or row.status is DeliveryStatus.UNADDRESSED
    ):
        raise NotFound(f"There is no delivery {text[:64]}. Check the id, and the key's mode.")
    return row


async def list_deliveries(
    session: AsyncSession,
    team_id: str,
    livemode: bool,
    wanted: DeliveryFilter,
    *,
    limit: int,
    before_id: str | None = None,
) -> Sequence[Delivery]:
    """Up to `limit` deliveries of a team, newest first, those older than `before_id`."""
    statement = select(Delivery).where(*_of(team_id, livemode))
    if wanted.job_id is not None:
        statement = statement.where(Delivery.job_id == wanted.job_id)
    if wanted.event is not None:
        statement = statement.where(Delivery.event == wanted.event)
    if wanted.status is not None:
        statement = statement.where(Delivery.status == wanted.status)
    if before_id is not None:
        statement = statement.where(_ulid(Delivery) < before_id[4:])
    return (await session.exec(statement.order_by(_ulid(Delivery).desc()).limit(limit))).all()


async def attempts_of(
    session: AsyncSession, deliveries: Sequence[Delivery]
) -> Mapping[str, Sequence[DeliveryAttempt]]:
    """All attempts at each of `deliveries`, in their order (WH-27)."""
    statement = (
        select(DeliveryAttempt)
        .where(col(DeliveryAttempt.delivery_id).in_([one.id for one in deliveries]))
        .order_by(col(DeliveryAttempt.delivery_id), col(DeliveryAttempt.attempt))
    )
    found: defaultdict[str, list[DeliveryAttempt]] = defaultdict(list)
    for attempt in (await session.exec(statement)).all():
        found[attempt.delivery_id].append(attempt)
    return found


async def resend(session: AsyncSession, delivery: Delivery, *, now: datetime) -> Delivery:
    """Queue the same event again, whatever came of it before (WH-28).

    It has an id of its own, so that receivers which know the first one take it; `resend_of` names
    the original, also for the resend of a resend. It is signed when it is sent.
    """
    again = _again(delivery, now)
    session.add(again)
    await session.flush()
    await notify(session, DELIVERIES_CHANNEL, delivery.team_id)
    return again


async def replay(
    session: AsyncSession,
    team_id: str,
    livemode: bool,
    wanted: Replay,
    *,
    limit: int,
    after_id: str | None = None,
    now: datetime,
) -> tuple[Sequence[str], str | None]:
    """Resend one page, oldest first: the ids of the new deliveries, and where the next page starts.

    The same page of the same replay again makes nothing new.
    """
    statement = select(Delivery).where(
        *_of(team_id, livemode),
        col(Delivery.resend_of).is_(None),
        col(Delivery.emitted_at) >= wanted.since,
        col(Delivery.emitted_at) < wanted.until,
        _ulid(Delivery) >= first_id("dlv", wanted.since)[4:],
        _having(wanted),
    )
    if wanted.event is not None:
        statement = statement.where(Delivery.event == wanted.event)
    if after_id is not None:
        statement = statement.where(_ulid(Delivery) > after_id[4:])
    page = (await session.exec(statement.order_by(_ulid(Delivery)).limit(limit))).all()
    if not page:
        return (), None
    rows = [_again(one, now, wanted.id).model_dump(exclude={"seq", "written_in"}) for one in page]
    made = await session.exec(
        insert(Delivery)
        .values(rows)
        .on_conflict_do_nothing(
            index_elements=[col(Delivery.resend_of), col(Delivery.replay_id)],
            index_where=col(Delivery.resend_of).is_not(None),
        )
        .returning(col(Delivery.id))
    )
    await notify(session, DELIVERIES_CHANNEL, team_id)
    return made.scalars().all(), page[-1].id if len(page) == limit else None


def _having(wanted: Replay) -> ColumnElement[bool]:
    if wanted.status is DeliveryStatus.DELIVERED:
        return col(Delivery.status) == DeliveryStatus.DELIVERED
    if wanted.status is None:
        return col(Delivery.status).in_([DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED])
    later = aliased(Delivery)
    arrived = select(later.id).where(
        col(later.resend_of) == col(Delivery.id),
        # Its own resends do not count, so that a page that is asked for again is the same page.
        col(later.replay_id).is_distinct_from(wanted.id),
        col(later.status).in_([DeliveryStatus.PENDING, DeliveryStatus.DELIVERED]),
    )
    return (col(Delivery.status) == DeliveryStatus.EXHAUSTED) & ~arrived.exists()


def _again(delivery: Delivery, now: datetime, replay_id: str | None = None) -> Delivery:
    return Delivery(
        id=new_id("dlv", now),
        team_id=delivery.team_id,
        job_id=delivery.job_id,
        event=delivery.event,
        url=delivery.url,
        version=delivery.version,
        data=delivery.data,
        livemode=delivery.livemode,
        resend_of=delivery.resend_of or delivery.id,
        replay_id=replay_id,
        emitted_at=delivery.emitted_at,
        next_attempt_at=now,
        created_at=now,
    )


def _of(team_id: str, livemode: bool) -> list[ColumnElement[bool]]:
    return [
        col(Delivery.team_id) == team_id,
        col(Delivery.livemode) == livemode,
        col(Delivery.status) != DeliveryStatus.UNADDRESSED,
    ]


def _ulid(delivery: type[Delivery]) -> ColumnElement[str]:
    """The id as the indexes of the lists have it; see `core.jobs.listing`."""
    return func.substr(delivery.id, literal_column("5"))

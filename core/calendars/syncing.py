"""One sync of one connection: what changed at the provider becomes jobs (CAL-11, CAL-16, CAL-18).

The cursor is stored last, so a sync that breaks off is done again; doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.calendars.base import AccessRefused, Changes, CursorLost, Source, Throttled, Window
from core.calendars.channels import Channels
from core.calendars.grants import Grant
from core.calendars.models import (
    CalendarConnection,
    CalendarEvent,
    CalendarRule,
    CalendarService,
    State,
)
from core.calendars.providers import Providers
from core.calendars.rules import PASSING
from core.calendars.scheduling import Placed, Scheduler, hashed
from core.clock import Clock
from core.database import Database
from core.errors import MeetbotError, Unavailable
from core.invites.placing import one_at_a_time
from core.secrets import SecretBox
from core.settings import Settings
from core.texts import plain_text

log = logging.getLogger(__name__)

# What began so long ago may still go on.
BEFORE: Final = timedelta(days=1)
# So much further than the horizon a new cursor reaches: once a day all is read anew.
AHEAD: Final = timedelta(days=1)
# How long events that are over are listed.
KEPT: Final = timedelta(days=30)
# Less than the time between two rounds.
PUT_OFF: Final = timedelta(minutes=4)
# A provider may refuse for a while, as when the operator's client there is switched off.
TRIED_AGAIN: Final = timedelta(hours=1)
# Events in one transaction: others of the team wait for it, also those who change rules.
BATCH: Final = 25
Item = TypeVar("Item")


class Outcome(StrEnum):
    """What came of a sync."""

    DONE = "done"
    # Another one is at it.
    BUSY = "busy"
    # The provider wants to be asked later, or did not answer.
    LATER = "later"
    # Somebody has to connect it again.
    ERROR = "error"
    # It was disconnected, and is forgotten now.
    GONE = "gone"


@dataclass(frozen=True)
class Synced:
    outcome: Outcome
    placed: Placed = field(default_factory=Placed)
    problem: str | None = None


class _NotConnected(Exception):
    """It was disconnected in the middle of a sync."""


class _ConnectedAnew(Exception):
    """Somebody connected it again in the middle of a sync: what was read is not of that grant."""


@dataclass(frozen=True)
class Syncer:
    """What syncing needs besides the connection."""

    database: Database
    box: SecretBox
    settings: Settings
    clock: Clock
    providers: Providers

    async def sync(self, connection_id: str) -> Synced:
        """Sync now, unless somebody else does. What is wrong with it becomes its `problem`."""
        async with self.database.exclusive(f"calendar:{connection_id}") as alone:
            if not alone:
                return Synced(Outcome.BUSY)
            async with self.database.begin() as session:
                connection = await session.get(CalendarConnection, connection_id)
            if connection is None:
                return Synced(Outcome.GONE)
            if connection.state is State.DISCONNECTED:
                await self._forget(connection)
                return Synced(Outcome.GONE)
            return await self._tried(connection)

    async def put_off(self, connection_id: str) -> None:
        """After a failure of ours: not before the next round, and without being asked for."""
        async with self.database.begin() as session:
            current = await session.get(CalendarConnection, connection_id, with_for_update=True)
            if current is not None:
                current.next_sync_at = self.clock.now() + PUT_OFF
                current.asked_at = None
                current.problem = "The last sync failed on our side; it is tried again."

    async def _tried(self, connection: CalendarConnection) -> Synced:
        now = self.clock.now()
        if connection.next_sync_at > now:
            return Synced(Outcome.LATER, problem=connection.problem)
        try:
            source, changes, window = await self._changes(connection, now)
            placed = await self._apply(connection, changes, window)
            await self._finish(connection, changes, window)
        except AccessRefused as refused:
            later = self.clock.now() + TRIED_AGAIN
            await self._note(connection, refused.message, state=State.ERROR, until=later)
            return Synced(Outcome.ERROR, problem=refused.message)
        except Throttled as busy:
            pause = timedelta(seconds=busy.retry_after_seconds)
            await self._note(connection, busy.message, until=self.clock.now() + pause)
            return Synced(Outcome.LATER, problem=busy.message)
        except Unavailable as away:
            await self._note(connection, away.message)
            return Synced(Outcome.LATER, problem=away.message)
        except _NotConnected:
            return Synced(Outcome.GONE)
        except _ConnectedAnew:
            return Synced(Outcome.BUSY)
        await self._channels.renew(connection, source)
        return Synced(Outcome.DONE, placed)

    @property
    def _channels(self) -> Channels:
        return Channels(self.database, self.settings, self.clock, self.providers)

    async def _changes(
        self, connection: CalendarConnection, now: datetime
    ) -> tuple[Source, Changes, Window]:
        """What changed, and the span of time that the new cursor is of."""
        horizon = timedelta(days=self.settings.intake.horizon_days)
        window = Window(now - BEFORE, now + horizon + AHEAD)
        cursor, until = connection.cursor, connection.window_until
        if cursor is None or until is None or until < now + horizon:
            cursor = None
        else:
            window = Window(window.after, until)
        grant = await self._fresh(connection, self._grant(connection), now)
        source = _source(connection, grant)
        try:
            return source, await self._asked(connection, source, cursor, window), window
        except AccessRefused:
            if grant.refresh_token is None:
                raise
            # The token may have been ended before its time; a new one tells.
            bare = grant.model_copy(update={"access_token": None})
            source = _source(connection, await self._fresh(connection, bare, now))
            return source, await self._asked(connection, source, cursor, window), window

    async def _asked(
        self, connection: CalendarConnection, source: Source, cursor: str | None, window: Window
    ) -> Changes:
        calendar = self.providers.calendar(connection.provider)
        try:
            return await calendar.changes(source, cursor, window)
        except CursorLost:
            log.info("%s is read anew: its cursor is lost", connection.id)
            return await calendar.changes(source, None, window)

    def _grant(self, connection: CalendarConnection) -> Grant:
        if connection.grant is None:
            raise AccessRefused("There is no grant; connect the calendar again.")
        return Grant.opened(self.box, connection.grant)

    async def _fresh(self, connection: CalendarConnection, grant: Grant, now: datetime) -> Grant:
        """With a good access token, kept at once: the refresh token before may be void now."""
        oauth = self.providers.oauth(connection.provider)
        if oauth is None:
            return grant
        fresh = await oauth.fresh(grant, now)
        if fresh != grant:
            async with self.database.begin() as session:
                current = await self._current(session, connection)
                current.grant = connection.grant = fresh.sealed(self.box)
        return fresh

    async def _apply(
        self, connection: CalendarConnection, changes: Changes, window: Window
    ) -> Placed:
        placed = Placed()
        near = [
            one for one in changes.events if one.end > window.after and one.start < window.before
        ]
        kept = {one.id for one in near}
        gone = [*changes.gone, *(one.id for one in changes.events if one.id not in kept)]
        seen = {hashed(one.id) for one in near}
        for events in _batches(near):
            async with self.database.begin() as session:
                placed.add(await (await self._scheduler(session, connection)).take(events))
        for ids in _batches(gone):
            async with self.database.begin() as session:
                placed.add(await (await self._scheduler(session, connection)).drop(ids))
        for rows in _batches(await self._to_look_at(connection, seen, whole=changes.whole)):
            async with self.database.begin() as session:
                scheduler = await self._scheduler(session, connection)
                current = await _reloaded(session, rows)
                stale = [one for one in current if changes.whole and one.provider_id not in seen]
                placed.add(await scheduler.forget(stale))
                placed.add(
                    await scheduler.decide_again([one for one in current if one not in stale])
                )
        return placed

    async def _to_look_at(
        self, connection: CalendarConnection, seen: set[str], *, whole: bool
    ) -> list[str]:
        """Events to come that the provider says nothing of, and that may have to be changed."""
        async with self.database.begin() as session:
            statement = (
                select(CalendarEvent.id, CalendarEvent.provider_id, CalendarEvent.why)
                .where(
                    CalendarEvent.connection_id == connection.id,
                    col(CalendarEvent.starts_at) > self.clock.now(),
                )
                .order_by(col(CalendarEvent.starts_at))
            )
            rows = (await session.exec(statement)).all()
        return [
            event_id
            for event_id, provider_id, why in rows
            if provider_id not in seen and (whole or connection.rules_changed or why in PASSING)
        ]

    async def _scheduler(self, session: AsyncSession, connection: CalendarConnection) -> Scheduler:
        await one_at_a_time(session, connection.team_id)
        await self._current(session, connection)
        return Scheduler(
            session,
            self.box,
            self.settings,
            connection,
            await rules_of(session, connection),
            self.clock.now(),
        )

    async def _finish(
        self, connection: CalendarConnection, changes: Changes, window: Window
    ) -> None:
        now = self.clock.now()
        async with self.database.begin() as session:
            current = await self._current(session, connection)
            current.cursor, current.window_until = changes.cursor, window.before
            current.synced_at = current.next_sync_at = current.updated_at = now
            current.state, current.problem = State.ACTIVE, None
            if current.asked_at == connection.asked_at:
                # Nobody has asked again meanwhile.
                current.asked_at, current.rules_changed = None, False
            old = select(CalendarEvent).where(
                CalendarEvent.connection_id == connection.id,
                col(CalendarEvent.ends_at) < now - KEPT,
            )
            for row in (await session.exec(old.limit(BATCH))).all():
                await session.delete(row)

    async def _note(
        self,
        connection: CalendarConnection,
        problem: str,
        *,
        state: State = State.ACTIVE,
        until: datetime | None = None,
    ) -> None:
        """Write down what is wrong; a sync that failed is not asked for any more."""
        async with self.database.begin() as session:
            current = await session.get(
                CalendarConnection, connection.id, with_for_update=True, populate_existing=True
            )
            if current is None or current.state is State.DISCONNECTED:
                return
            if current.grant != connection.grant:
                # What is wrong is wrong with the grant before.
                return
            current.state, current.problem = state, plain_text(problem, 500)
            current.updated_at = self.clock.now()
            if current.asked_at == connection.asked_at:
                current.asked_at = None
            if until is not None:
                current.next_sync_at = until
        log.warning("%s: %s", connection.id, problem)

    async def _current(
        self, session: AsyncSession, connection: CalendarConnection
    ) -> CalendarConnection:
        """The connection's row, locked, as long as it is connected by the same grant."""
        current = await session.get(
            CalendarConnection, connection.id, with_for_update=True, populate_existing=True
        )
        if current is None or current.state is State.DISCONNECTED:
            raise _NotConnected
        if current.grant != connection.grant:
            raise _ConnectedAnew
        return current

    async def _forget(self, connection: CalendarConnection) -> None:
        """Tell the provider as far as it listens, and remove the row."""
        source = None
        if connection.grant is not None and connection.provider is not CalendarService.ICS:
            grant = Grant.opened(self.box, connection.grant)
            oauth = self.providers.oauth(connection.provider)
            try:
                fresh = await oauth.fresh(grant, self.clock.now()) if oauth else grant
                source = _source(connection, fresh)
            except MeetbotError as error:
                log.info("%s: its channels end by themselves: %s", connection.id, error.message)
        await self._channels.end(connection, source)
        async with self.database.begin() as session:
            current = await session.get(CalendarConnection, connection.id, with_for_update=True)
            if current is not None:
                await session.delete(current)


async def rules_of(session: AsyncSession, connection: CalendarConnection) -> Sequence[CalendarRule]:
    """The rules that decide of a connection's events."""
    statement = select(CalendarRule).where(
        CalendarRule.team_id == connection.team_id,
        CalendarRule.livemode == connection.livemode,
        col(CalendarRule.enabled).is_(True),
        (col(CalendarRule.connection_id).is_(None))
        | (col(CalendarRule.connection_id) == connection.id),
    )
    return (await session.exec(statement)).all()


async def _reloaded(session: AsyncSession, ids: Sequence[str]) -> Sequence[CalendarEvent]:
    statement = (
        select(CalendarEvent)
        .where(col(CalendarEvent.id).in_(ids))
        .order_by(col(CalendarEvent.starts_at), col(CalendarEvent.id))
        .with_for_update()
    )
    return (await session.exec(statement)).all()


def _source(connection: CalendarConnection, grant: Grant) -> Source:
    secret = grant.url or grant.access_token
    if secret is None:
        raise AccessRefused("There is no grant; connect the calendar again.")
    return Source(connection.calendar_id, connection.account, secret)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]

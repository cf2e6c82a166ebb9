"""A team's connections: by consent at the provider, or by a grant handed over (API-37 to 40)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy import delete
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.calendars.events import address
from core.calendars.grants import Grant
from core.calendars.models import (
    CalendarConnection,
    CalendarEvent,
    CalendarLogin,
    CalendarRule,
    CalendarService,
    State,
)
from core.calendars.scheduling import Placed, Scheduler
from core.errors import BadInput, Expired, NotFound
from core.ids import new_id, parse_id
from core.integrations.pool import Owner
from core.invites.placing import one_at_a_time
from core.secrets import SecretBox
from core.settings import Settings

PRIMARY: Final = "primary"
LOGIN_LIFE: Final = timedelta(minutes=15)
MOST_OF_A_TEAM: Final = 1_000
MOST_LOGINS: Final = 200


@dataclass(frozen=True)
class Begun:
    """What a person takes along to the provider; `state` and `verifier` are kept nowhere else."""

    connection_id: str
    state: str
    verifier: str
    expires_at: datetime


async def begin(
    session: AsyncSession,
    box: SecretBox,
    owner: Owner,
    provider: CalendarService,
    *,
    connection_id: str | None,
    calendar_id: str,
    landing: str,
    now: datetime,
) -> Begun:
    """Have a person connect a calendar, or connect one again.

    Raises:
        NotFound, BadInput: as `place_for`; or too many people of the team are on their way.
    """
    await session.exec(delete(CalendarLogin).where(col(CalendarLogin.expires_at) <= now))
    pending = select(func.count()).where(
        CalendarLogin.team_id == owner.team_id, col(CalendarLogin.used_at).is_(None)
    )
    if (await session.exec(pending)).one() >= MOST_LOGINS:
        raise BadInput(f"{MOST_LOGINS} people are connecting calendars now; try again later.")
    found = await place_for(session, owner, provider, connection_id)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    begun = Begun(found, state, verifier, now + LOGIN_LIFE)
    session.add(
        CalendarLogin(
            state_hash=_hash(state),
            connection_id=found,
            team_id=owner.team_id,
            livemode=owner.livemode,
            provider=provider,
            calendar_id=calendar_id,
            verifier=box.seal(SecretStr(verifier)),
            landing=landing,
            expires_at=begun.expires_at,
        )
    )
    return begun


async def use_login(
    session: AsyncSession, provider: CalendarService, state: str, *, now: datetime
) -> CalendarLogin:
    """What `state` was made for; it is good once.

    Raises:
        BadInput: it is none of ours.
        Expired: it was used, or its time is over.
    """
    login = await session.get(CalendarLogin, _hash(state), with_for_update=True)
    if login is None or login.provider is not provider:
        raise BadInput(
            "Nobody was sent to the provider with this state. Connect the calendar anew."
        )
    if login.used_at is not None or login.expires_at <= now:
        raise Expired("This connection was made already, or too late. Connect the calendar anew.")
    login.used_at = now
    return login


@dataclass(frozen=True)
class NewConnection:
    """A grant that was tried, and whose it is."""

    owner: Owner
    connection_id: str
    provider: CalendarService
    calendar_id: str
    account: str | None
    grant: Grant


async def connect(
    session: AsyncSession, box: SecretBox, new: NewConnection, *, now: datetime
) -> CalendarConnection:
    """Keep a grant; the connection of that id, or of the same calendar, is connected anew."""
    account = address(new.account)
    row = await session.get(CalendarConnection, new.connection_id, with_for_update=True)
    if row is None:
        row = await _same(session, new, account)
    if row is None:
        row = CalendarConnection(
            id=new.connection_id,
            team_id=new.owner.team_id,
            livemode=new.owner.livemode,
            provider=new.provider,
            calendar_id=new.calendar_id,
            next_sync_at=now,
            created_at=now,
            updated_at=now,
        )
    elif (row.account, row.calendar_id) != (account, new.calendar_id):
        # Another calendar: what was read of the one before says nothing of it.
        row.cursor = None
    row.account, row.calendar_id = account, new.calendar_id
    row.grant = new.grant.sealed(box)
    if new.provider is CalendarService.ICS:
        row.cursor = None
    # Rules may have changed while nobody could look at its events.
    row.state, row.problem, row.rules_changed = State.ACTIVE, None, True
    row.next_sync_at = row.asked_at = row.updated_at = now
    session.add(row)
    await session.flush()
    return row


async def place_for(
    session: AsyncSession, owner: Owner, provider: CalendarService, connection_id: str | None
) -> str:
    """The id for a grant: a new one, or that of the connection that is to be connected anew.

    Raises:
        NotFound: there is no such connection to be connected again.
        BadInput: it is of another provider, or the team has too many.
    """
    if connection_id is not None:
        row = await owned(session, owner, connection_id)
        if row.provider is not provider:
            raise BadInput(f"This connection is of {row.provider}; leave connectionId out.")
        return row.id
    count = select(func.count()).where(
        CalendarConnection.team_id == owner.team_id,
        CalendarConnection.state != State.DISCONNECTED,
    )
    if (await session.exec(count)).one() >= MOST_OF_A_TEAM:
        raise BadInput(f"A team has {MOST_OF_A_TEAM} calendar connections at most.")
    return new_id("cal")


async def owned(
    session: AsyncSession, owner: Owner, text: str, *, lock: bool = False
) -> CalendarConnection:
    """A team's connection.

    Raises:
        NotFound: unknown, another team's, of the other mode, or disconnected (CV-11, CV-12).
    """
    found = parse_id("cal", text)
    row = (
        await session.get(CalendarConnection, found, with_for_update=lock, populate_existing=lock)
        if found is not None
        else None
    )
    if (
        row is None
        or (row.team_id, row.livemode) != (owner.team_id, owner.livemode)
        or row.state is State.DISCONNECTED
    ):
        raise NotFound(
            f"There is no calendar connection {text[:64]}. "
            "`GET /api/v1/calendar/connections` lists them."
        )
    return row


async def connections_of(
    session: AsyncSession, owner: Owner, *, limit: int, before_id: str | None
) -> Sequence[CalendarConnection]:
    """The newest first."""
    statement = select(CalendarConnection).where(
        CalendarConnection.team_id == owner.team_id,
        CalendarConnection.livemode == owner.livemode,
        CalendarConnection.state != State.DISCONNECTED,
    )
    if before_id is not None:
        statement = statement.where(col(CalendarConnection.id) < before_id)
    statement = statement.order_by(col(CalendarConnection.id).desc()).limit(limit)
    return (await session.exec(statement)).all()


async def ask_for_sync(
    session: AsyncSession, owner: Owner, text: str, *, now: datetime
) -> CalendarConnection:
    """Have a connection synced before its time.

    Raises:
        NotFound: as `owned`.
    """
    row = await owned(session, owner, text, lock=True)
    row.asked_at = now
    if row.state is State.ERROR:
        # Who asks may have mended it. One that is only asked too often has to wait.
        row.next_sync_at = now
    return row


async def disconnect(
    session: AsyncSession,
    box: SecretBox,
    settings: Settings,
    owner: Owner,
    text: str,
    *,
    now: datetime,
) -> Placed:
    """Remove a connection with its events and rules; bots that are still to come are called off.

    The row stays until the provider was told, without anybody seeing it.

    Raises:
        NotFound: as `owned`.
    """
    await one_at_a_time(session, owner.team_id)
    row = await owned(session, owner, text, lock=True)
    events = select(CalendarEvent).where(CalendarEvent.connection_id == row.id).with_for_update()
    scheduler = Scheduler(session, box, settings, row, (), now)
    placed = await scheduler.forget((await session.exec(events)).all())
    # What went on in this very moment keeps its job, and loses its event.
    await session.exec(delete(CalendarEvent).where(col(CalendarEvent.connection_id) == row.id))
    await session.exec(delete(CalendarRule).where(col(CalendarRule.connection_id) == row.id))
    row.state, row.problem = State.DISCONNECTED, None
    row.next_sync_at = row.asked_at = row.updated_at = now
    return placed


async def due_connections(
    session: AsyncSession, *, now: datetime, asked_only: bool, limit: int
) -> list[str]:
    """Connections to be synced: those that were longest not, first."""
    statement = select(CalendarConnection.id).where(
        col(CalendarConnection.next_sync_at) <= now,
    )
    if asked_only:
        statement = statement.where(col(CalendarConnection.asked_at).is_not(None))
    statement = statement.order_by(
        col(CalendarConnection.synced_at).asc().nulls_first(), col(CalendarConnection.id)
    ).limit(limit)
    return list((await session.exec(statement)).all())


async def _same(
    session: AsyncSession, new: NewConnection, account: str | None
) -> CalendarConnection | None:
    """The connection of the same calendar of the same person; feeds are told apart by their id."""
    if account is None or new.provider is CalendarService.ICS:
        return None
    statement = (
        select(CalendarConnection)
        .where(
            CalendarConnection.team_id == new.owner.team_id,
            CalendarConnection.livemode == new.owner.livemode,
            CalendarConnection.provider == new.provider,
            CalendarConnection.account == account,
            CalendarConnection.calendar_id == new.calendar_id,
            CalendarConnection.state != State.DISCONNECTED,
        )
        .with_for_update()
        .limit(1)
    )
    return (await session.exec(statement)).one_or_none()


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode(errors="replace")).hexdigest()

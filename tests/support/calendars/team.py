"""A team with a connected calendar at one of the servers, and all that syncs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlmodel import col, select

from core.calendars.connections import NewConnection, ask_for_sync, connect
from core.calendars.events import Facts
from core.calendars.grants import Grant
from core.calendars.models import CalendarConnection, CalendarEvent, CalendarRule, CalendarService
from core.calendars.providers import Providers
from core.calendars.rules import Match, RuleAction
from core.calendars.settings import CalendarSettings
from core.calendars.syncing import Synced, Syncer
from core.ids import new_id
from core.integrations.pool import Owner
from core.jobs.models import Job
from core.settings import ApiSettings, Settings, StorageSettings
from tests.support.calendars.diary import ME
from tests.support.calendars.feed import Feed
from tests.support.calendars.server import CLIENT_ID, CLIENT_SECRET, CalendarServer
from tests.support.jobs import JobBook

Server = CalendarServer | Feed
Shown = tuple[str, str, str]


def calendar_settings(
    google: CalendarServer | None = None, graph: CalendarServer | None = None
) -> CalendarSettings:
    """Settings that lead to servers on loopback."""
    here = "http://127.0.0.1:9"
    at_google, at_graph = (one.origin if one else here for one in (google, graph))
    return CalendarSettings(
        google_client_id=CLIENT_ID,
        google_client_secret=SecretStr(CLIENT_SECRET),
        google_authorize_url=f"{at_google}/authorize",
        google_token_url=f"{at_google}/token",
        google_api=f"{at_google}/calendar/v3",
        microsoft_client_id=CLIENT_ID,
        microsoft_client_secret=SecretStr(CLIENT_SECRET),
        microsoft_authority=at_graph,
        microsoft_api=f"{at_graph}/v1.0",
        timeout_seconds=5,
    )


@dataclass
class CalendarTeam:
    """One team; `sync` is what the deployment does with each connection."""

    book: JobBook
    settings: Settings
    providers: Providers

    async def connect(
        self, provider: CalendarService, server: Server, account: str = ME, **more: Any
    ) -> CalendarConnection:
        grant = (
            Grant(url=SecretStr(server.url))
            if isinstance(server, Feed)
            else Grant(refresh_token=SecretStr(server.grant()))
        )
        new = NewConnection(
            owner=Owner(self.book.team_id, livemode=more.get("livemode", True)),
            connection_id=new_id("cal"),
            provider=provider,
            calendar_id="primary",
            account=account,
            grant=grant,
        )
        async with self.book.database.begin() as session:
            return await connect(session, self.book.box, new, now=self.book.now)

    async def rule(self, action: str = "record", priority: int = 1, **more: Any) -> CalendarRule:
        match = {name: value for name, value in more.items() if name in Match.model_fields}
        values = {name: value for name, value in more.items() if name not in match}
        row = CalendarRule(
            id=new_id("rule"),
            team_id=self.book.team_id,
            livemode=values.pop("livemode", True),
            priority=priority,
            action=RuleAction(action),
            match=match,
            enabled=True,
            created_at=self.book.now,
            updated_at=self.book.now,
            **values,
        )
        async with self.book.database.begin() as session:
            session.add(row)
        return row

    async def sync(self, connection: CalendarConnection) -> Synced:
        syncer = Syncer(
            self.book.database, self.book.box, self.settings, self.book.clock, self.providers
        )
        return await syncer.sync(connection.id)

    async def ask(self, connection: CalendarConnection, *, rules_changed: bool = False) -> None:
        async with self.book.database.begin() as session:
            owner = Owner(connection.team_id, connection.livemode)
            row = await ask_for_sync(session, owner, connection.id, now=self.book.now)
            row.rules_changed = rules_changed

    async def read(self, connection: CalendarConnection) -> CalendarConnection:
        async with self.book.database.begin() as session:
            return await session.get_one(CalendarConnection, connection.id)

    async def events(self) -> list[CalendarEvent]:
        statement = select(CalendarEvent).order_by(
            col(CalendarEvent.starts_at), col(CalendarEvent.id)
        )
        async with self.book.database.begin() as session:
            return list((await session.exec(statement)).all())

    async def decisions(self) -> list[Shown]:
        """Of all events by their start: what, when, and why."""
        return [
            (self.facts(one).title, when(one.starts_at), f"{one.action}: {one.why}")
            for one in await self.events()
        ]

    def facts(self, event: CalendarEvent) -> Facts:
        opened = self.book.box.open(event.facts).get_secret_value()
        return Facts.model_validate_json(opened)

    async def jobs(self) -> list[tuple[str, str]]:
        """When each bot comes, and its job's status."""
        return [
            (when(job.join_at) if job.join_at else "now", str(job.status))
            for job in await self.rows()
        ]

    async def rows(self) -> Sequence[Job]:
        statement = select(Job).order_by(col(Job.join_at), col(Job.id))
        async with self.book.database.begin() as session:
            return (await session.exec(statement)).all()


def when(moment: datetime) -> str:
    return f"{moment:%m-%d %H:%M}"


@asynccontextmanager
async def calendar_team(
    book: JobBook, folder: Path, calendars: CalendarSettings, *, trusted: Sequence[str] = ()
) -> AsyncIterator[CalendarTeam]:
    """A team of `book`, with calendars where `calendars` says."""
    settings = Settings(
        data_dir=folder,
        storage=StorageSettings(link_secret=SecretStr("a secret for links")),
        api=ApiSettings(public_url="https://api.example"),
        calendars=calendars,
        trusted_origins=tuple(trusted),
    )
    async with Providers(settings, book.clock) as providers:
        yield CalendarTeam(book, settings, providers)

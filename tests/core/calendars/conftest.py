"""A calendar at each provider, one story for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.calendars.models import CalendarConnection, CalendarService
from core.database import Database
from core.secrets import SecretBox
from tests.support.calendars.diary import Diary
from tests.support.calendars.feed import Feed, running_feed
from tests.support.calendars.google import running_google
from tests.support.calendars.microsoft import running_graph
from tests.support.calendars.server import CalendarServer
from tests.support.calendars.team import CalendarTeam, calendar_settings, calendar_team
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.ports import free_port


@dataclass
class Office:
    """A team, and a calendar of each kind that somebody may connect."""

    team: CalendarTeam
    google: CalendarServer
    graph: CalendarServer
    feed: Feed

    def server(self, provider: CalendarService) -> CalendarServer | Feed:
        of = {CalendarService.GOOGLE: self.google, CalendarService.MICROSOFT: self.graph}
        return of.get(provider) or self.feed

    def diary(self, provider: CalendarService) -> Diary:
        return self.server(provider).diary

    async def connect(self, provider: CalendarService) -> CalendarConnection:
        return await self.team.connect(provider, self.server(provider))


@pytest.fixture
async def office(
    database: Database, box: SecretBox, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        google = await stack.enter_async_context(running_google(clock))
        graph = await stack.enter_async_context(running_graph(clock))
        feed = await stack.enter_async_context(running_feed(free_port()))
        book = await JobBook.open(database, box, clock)
        team = await stack.enter_async_context(
            calendar_team(book, tmp_path, calendar_settings(google, graph), trusted=[feed.origin])
        )
        yield Office(team, google, graph, feed)

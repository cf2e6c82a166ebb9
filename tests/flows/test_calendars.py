"""The deployment that syncs calendars, and what starts it before its time (CAL-11, CAL-18)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from pydantic import SecretStr

from core.calendars.connections import due_connections
from core.calendars.models import CalendarConnection, CalendarService, State
from core.calendars.syncing import Outcome, Syncer
from core.database import Database
from core.dispatch.queues import HOUSEKEEPING
from core.secrets import SecretBox, generate_key
from core.storage.local import LocalStorage
from flows import calendars
from flows.resources import Resources
from tests.support.calendars.diary import CUSTOMER, ME, Entry
from tests.support.calendars.feed import Feed, running_feed
from tests.support.calendars.google import error, running_google
from tests.support.calendars.server import CalendarServer
from tests.support.calendars.team import CalendarTeam, calendar_settings, calendar_team
from tests.support.clock import START, ManualClock
from tests.support.jobs import JobBook
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

TOMORROW = START + timedelta(days=1)


@dataclass
class Runs:
    """What Prefect is told."""

    submitted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    started: list[tuple[str, Mapping[str, str], str, str]] = field(default_factory=list)

    async def submit(self, job_id: str, due: Any, tags: Any) -> str:
        self.submitted.append(job_id)
        return f"run-{job_id}"

    async def cancel(self, flow_run_id: str) -> None:
        self.cancelled.append(flow_run_id)

    async def start(
        self, deployment: str, parameters: Mapping[str, str], *, queue: str, key: str
    ) -> str:
        self.started.append((deployment, parameters, queue, key))
        return key


@dataclass
class Round:
    """A team with a calendar at Google and a feed, and what syncs them."""

    team: CalendarTeam
    resources: Resources
    google: CalendarServer
    feed: Feed
    runs: Runs

    async def sync(self, *, asked_only: bool = False) -> dict[str, int]:
        runs = cast("Any", self.runs)
        return dict(await calendars.sync_all(self.resources, runs, await self.due(asked_only)))

    async def due(self, asked_only: bool = False) -> list[str]:
        async with self.resources.database.begin() as session:
            now = self.resources.clock.now()
            return await due_connections(session, now=now, asked_only=asked_only, limit=100)

    async def read(self, connection: CalendarConnection) -> CalendarConnection:
        return await self.team.read(connection)


@pytest.fixture
async def round_(
    database: Database, box: SecretBox, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Round]:
    async with running_google(clock) as google, running_feed(free_port()) as feed:
        book = await JobBook.open(database, box, clock)
        chosen = calendar_settings(google)
        async with calendar_team(book, tmp_path, chosen, trusted=[feed.origin]) as team:
            storage = LocalStorage(tmp_path / "b", files_url="http://f", link_secret=SecretStr("s"))
            resources = Resources(
                settings=team.settings,
                clock=clock,
                database=database,
                box=box,
                storage=storage,
                courier=cast("Any", None),
            )
            yield Round(team, resources, google, feed, Runs())


def test_all_calendars_are_synced_every_five_minutes() -> None:
    """CAL-11, AR-07."""
    document = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())
    (found,) = [one for one in document["deployments"] if one["name"] == "calendar-sync"]
    assert found["schedules"] == [{"interval": 300}]


async def test_each_event_has_one_run_which_ends_with_it(round_: Round) -> None:
    await round_.team.connect(CalendarService.GOOGLE, round_.google)
    await round_.team.rule()
    diary = round_.google.diary
    diary.put(Entry("a", TOMORROW, people=(ME, CUSTOMER)))
    assert await round_.sync() == {Outcome.DONE: 1}
    (job,) = await round_.team.rows()
    assert round_.runs.submitted == [job.id]
    diary.cancel("a")
    await round_.sync()
    assert round_.runs.cancelled == [f"run-{job.id}"]


async def test_one_broken_calendar_keeps_back_no_other(round_: Round) -> None:
    """CAL-18: one is revoked, one does not open with our keys, one makes us fail, one is good."""
    team, clock = round_.team, round_.team.book.clock
    round_.google.diary.put(Entry("a", TOMORROW, people=(ME, CUSTOMER)))
    round_.feed.diary.put(Entry("b", TOMORROW, people=(ME, CUSTOMER)))
    revoked = await team.connect(CalendarService.GOOGLE, round_.google, account="eve@example.com")
    sealed = await team.connect(CalendarService.GOOGLE, round_.google, account="bob@example.com")
    broken = await team.connect(CalendarService.ICS, round_.feed)
    good = await team.connect(CalendarService.ICS, round_.feed)
    await team.rule()
    async with round_.resources.database.begin() as session:
        stranger = SecretBox([generate_key()])
        rows = {
            one.id: await session.get_one(CalendarConnection, one.id)
            for one in (revoked, sealed, broken)
        }
        rows[sealed.id].grant = stranger.seal(SecretStr("{}"))
        rows[broken.id].cursor = "no JSON"
        rows[broken.id].window_until = clock.now() + timedelta(days=99)
    round_.google.revoked = True
    assert await round_.sync() == {Outcome.ERROR: 1, Outcome.LATER: 1, "failed": 1, Outcome.DONE: 1}
    assert [(await round_.read(one)).state for one in (revoked, sealed, good)] == [
        State.ERROR,
        State.ACTIVE,
        State.ACTIVE,
    ]
    assert "MEETBOT_ENCRYPTION_KEYS" in ((await round_.read(sealed)).problem or "")
    assert "our side" in ((await round_.read(broken)).problem or "")
    assert len(await team.jobs()) == 1
    # The one that made us fail waits for the next round, and nobody asks for it meanwhile.
    assert broken.id not in await round_.due()
    clock.advance(300)
    assert broken.id in await round_.due()


async def test_a_provider_that_is_asked_too_often_is_left_alone_as_long_as_it_wants(
    round_: Round,
) -> None:
    team, clock = round_.team, round_.team.book.clock
    connection = await team.connect(CalendarService.GOOGLE, round_.google)
    for fault in (
        error(429, "rateLimitExceeded", **{"retry-after": "900"}),
        error(403, "userRateLimitExceeded", **{"retry-after": "Sat, 09 May 2026 14:30:00 GMT"}),
    ):
        round_.google.faults.append(fault)
        before = len(round_.google.requests)
        assert await round_.sync() == {Outcome.LATER: 1}
        await team.ask(connection)
        clock.advance(899)
        assert await round_.due() == []
        assert await round_.due(asked_only=True) == []
        clock.advance(1)
        assert await round_.due() == [connection.id]
        assert len(round_.google.requests) == before + 1
    round_.google.faults.append(error(500, "backendError"))
    assert await round_.sync() == {Outcome.LATER: 1}
    assert "500" in ((await round_.read(connection)).problem or "")
    # Nothing is wrong with the grant: the next round tries again, and all is well.
    assert await round_.sync() == {Outcome.DONE: 1}
    assert (await round_.read(connection)).problem is None


async def test_a_short_pause_is_waited_for(round_: Round) -> None:
    """On a clock that goes on whenever somebody waits."""

    class Waiting(ManualClock):
        async def sleep(self, seconds: float) -> None:
            self.advance(seconds)

    clock = Waiting()
    connection = await round_.team.connect(CalendarService.GOOGLE, round_.google)
    round_.google.faults.append(error(429, "rateLimitExceeded", **{"retry-after": "2"}))
    async with calendar_team(
        round_.team.book, round_.team.settings.data_dir, round_.team.settings.calendars
    ) as team:
        team.providers._clients["Google"]._clock = clock
        assert (await team.sync(connection)).outcome is Outcome.DONE
    assert clock.monotonic() == 2


async def test_what_is_asked_for_is_synced_by_one_run_within_seconds(round_: Round) -> None:
    team, resources = round_.team, round_.resources
    runs = cast("Any", round_.runs)
    connection = await team.connect(CalendarService.GOOGLE, round_.google)
    await round_.sync()
    assert await calendars.hand_out_syncs(resources, runs) is False
    await team.ask(connection)
    assert await calendars.hand_out_syncs(resources, runs) is True
    ((deployment, parameters, queue, key),) = round_.runs.started
    assert (deployment, dict(parameters), queue) == (
        "calendar-sync-now/calendar-sync-now",
        {},
        HOUSEKEEPING,
    )
    assert key == f"calendar-sync-{int(resources.clock.now().timestamp()) // 10}"
    await round_.sync(asked_only=True)
    assert await round_.due(asked_only=True) == []


async def test_a_connection_is_synced_by_one_at_a_time(round_: Round) -> None:
    team = round_.team
    connection = await team.connect(CalendarService.GOOGLE, round_.google)
    async with round_.resources.database.exclusive(f"calendar:{connection.id}") as alone:
        assert alone
        syncer = Syncer(
            team.book.database, team.book.box, team.settings, team.book.clock, team.providers
        )
        assert (await syncer.sync(connection.id)).outcome is Outcome.BUSY
    assert (await team.sync(connection)).outcome is Outcome.DONE

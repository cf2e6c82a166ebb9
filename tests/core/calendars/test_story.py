"""One story, told by each provider in its own protocol, with the same end (CAL-10, CAL-18)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from core.calendars.models import CalendarConnection, CalendarService, State
from core.calendars.syncing import Outcome, Synced
from core.jobs.models import Source
from tests.core.calendars.conftest import Office
from tests.support.calendars.diary import BOSS, CUSTOMER, ME, Diary, Entry
from tests.support.calendars.server import CalendarServer
from tests.support.calendars.team import CalendarTeam
from tests.support.clock import START, ManualClock

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
ROOM_2 = "https://meet.google.com/xyz-defg-hij"


def at(day: int, hour: int) -> datetime:
    return START.replace(day=day, hour=hour)


@pytest.mark.parametrize("provider", CalendarService)
async def test_the_same_story_makes_the_same_jobs(
    office: Office, provider: CalendarService
) -> None:
    team, server, diary = office.team, office.server(provider), office.diary(provider)
    if isinstance(server, CalendarServer):
        server.page = 2
    connection = await office.connect(provider)
    await team.rule("skip", 0, attendee_email=BOSS, max_attendees=2)
    await team.rule("record", 1)
    await all_kinds_are_decided(team, diary, connection)
    synced = await team.sync(connection)
    assert (synced.outcome, moves(synced)) == (Outcome.DONE, (0, 0, 0))
    await changes_are_followed(team, diary, connection)
    # The provider forgets where we were: all is read anew, and nothing happens twice.
    if isinstance(server, CalendarServer):
        server.forget_cursors()
        server.expire_tokens()
    before = await team.jobs()
    assert moves(await team.sync(connection)) == (0, 0, 0)
    assert await team.jobs() == before
    # What was cancelled comes back as a job of its own.
    diary.restore("text")
    assert moves(await team.sync(connection)) == (1, 0, 0)
    await a_revoked_grant_is_said(office, provider, connection)


def moves(synced: Synced) -> tuple[int, int, int]:
    """How many jobs were made, changed and cancelled."""
    placed = synced.placed
    return len(placed.created), len(placed.changed), len(placed.cancelled)


async def all_kinds_are_decided(
    team: CalendarTeam, diary: Diary, connection: CalendarConnection
) -> None:
    diary.put(Entry("sync", at(11, 9), "Series", people=(ME, BOSS, CUSTOMER), weeks=3))
    diary.put(Entry("one", at(12, 10), "One to one"))
    diary.put(Entry("pitch", at(12, 12), "Pitch", people=(ME, CUSTOMER)))
    diary.put(Entry("lunch", at(12, 13), "Lunch", organizer=ME, people=(ME, CUSTOMER), link=None))
    diary.put(Entry("no", at(13, 9), "Declined", people=(ME, CUSTOMER), declined=True))
    diary.put(Entry("trip", at(14, 0), "Trip", people=(ME, CUSTOMER), all_day=True, minutes=1440))
    diary.put(Entry("text", at(15, 9), "Text", people=(ME, CUSTOMER), link=None,
                    description=f'<a href="{ROOM_2}">join</a>'))  # fmt: skip
    diary.put(Entry("far", at(11, 9) + 60 * DAY, "Far", people=(ME, CUSTOMER)))
    assert (await team.sync(connection)).outcome is Outcome.DONE
    record, skip = "record: rule", "skip: rule"
    assert await team.decisions() == [
        ("Series", "05-11 09:00", record),
        ("One to one", "05-12 10:00", skip),
        ("Pitch", "05-12 12:00", record),
        ("Lunch", "05-12 13:00", "skip: no_meeting_url"),
        ("Declined", "05-13 09:00", "skip: declined"),
        ("Trip", "05-14 00:00", "skip: all_day"),
        ("Text", "05-15 09:00", record),
        ("Series", "05-18 09:00", record),
    ]
    first = [("05-11 09:00", "queued"), ("05-12 12:00", "queued"), ("05-15 09:00", "queued")]
    assert await team.jobs() == [*first, ("05-18 09:00", "queued")]
    names = [job.external_id for job in await team.rows()]
    assert names[0] == "cal:sync@example.com:20260511T090000Z"
    assert {job.source for job in await team.rows()} == {Source.CALENDAR}
    (pitch,) = [one for one in await team.events() if team.facts(one).title == "Pitch"]
    assert team.facts(pitch).everybody == {ME, BOSS, CUSTOMER}


async def changes_are_followed(
    team: CalendarTeam, diary: Diary, connection: CalendarConnection
) -> None:
    """A new one, a moved one, a cancelled one; one of the series is moved, one is cancelled."""
    name = (await team.rows())[0].external_id
    diary.put(Entry("new", at(16, 9), "New", people=(ME, CUSTOMER)))
    diary.move("pitch", at(12, 15))
    diary.cancel("text")
    diary.move("sync/0", at(11, 11))
    diary.cancel("sync/1")
    diary.change("one", people=(ME, BOSS, CUSTOMER))
    assert moves(await team.sync(connection)) == (2, 2, 2)
    assert await team.jobs() == [
        ("05-11 11:00", "queued"),
        ("05-12 10:00", "queued"),
        ("05-12 15:00", "queued"),
        ("05-15 09:00", "cancelled"),
        ("05-16 09:00", "queued"),
        ("05-18 09:00", "cancelled"),
    ]
    assert name in [job.external_id for job in await team.rows()]


async def a_revoked_grant_is_said(
    office: Office, provider: CalendarService, connection: CalendarConnection
) -> None:
    """What is planned stays, and whoever connects it again goes on."""
    team, server = office.team, office.server(provider)
    server.revoked = True
    team.book.clock.advance(3700)
    synced = await team.sync(connection)
    stored = await team.read(connection)
    assert (synced.outcome, stored.state) == (Outcome.ERROR, State.ERROR)
    assert "onnect" in (stored.problem or "")
    assert len([one for one in await team.jobs() if one[1] == "queued"]) == 5
    server.revoked = False
    again = await office.connect(provider)
    if provider is not CalendarService.ICS:
        assert again.id == connection.id
        assert (await team.sync(again)).outcome is Outcome.DONE
        assert (await team.read(connection)).state is State.ACTIVE


@pytest.mark.parametrize("provider", CalendarService)
async def test_days_come_near_and_events_go_by(
    office: Office, provider: CalendarService, clock: ManualClock
) -> None:
    """CAL-08: a window of fourteen days moves on, whatever the cursor was of."""
    team, diary = office.team, office.diary(provider)
    connection = await office.connect(provider)
    await team.rule()
    diary.put(Entry("weekly", at(11, 9), people=(ME, CUSTOMER), weeks=6))
    await team.sync(connection)
    assert [one[0] for one in await team.jobs()] == ["05-11 09:00", "05-18 09:00"]
    clock.advance(DAY.total_seconds() * 9)
    await team.sync(connection)
    # The job of the 11th was never run here; its event is over and stays as it was.
    assert [one[0] for one in await team.jobs()] == [
        "05-11 09:00", "05-18 09:00", "05-25 09:00", "06-01 09:00",
    ]  # fmt: skip
    assert len(await team.decisions()) == 4

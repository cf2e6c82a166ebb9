"""Jobs of calendar events: once, as the rules say now, and never against a person's will."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from core.calendars.models import CalendarConnection, CalendarRule, CalendarService
from core.calendars.rules import RuleAction
from core.invites.models import Invitation
from core.invites.planning import Planner
from core.invites.reading import read_calendar
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.settings import BillingSettings, StorageSettings
from tests.core.calendars.conftest import Office
from tests.support.billing import record
from tests.support.calendars.diary import CUSTOMER, ME, MEET, Entry
from tests.support.clock import START, ManualClock
from tests.support.invites import calendar, event

pytestmark = pytest.mark.integration

TOMORROW = START.replace(day=20, hour=9)
ICS = CalendarService.ICS
# A feed without any event is not believed at once.
OLD = Entry("old", START - timedelta(days=30))


def pitch(**more: Any) -> Entry:
    values: dict[str, Any] = {"title": "Pitch", "people": (ME, CUSTOMER)}
    return Entry("pitch", TOMORROW, **(values | more))


async def change(
    office: Office, rule: CalendarRule, connection: CalendarConnection, **to: Any
) -> None:
    """What a PATCH of a rule does."""
    async with office.team.book.database.begin() as session:
        row = await session.get_one(CalendarRule, rule.id)
        for name, value in to.items():
            setattr(row, name, value)
    await office.team.ask(connection, rules_changed=True)


async def test_rules_that_change_decide_events_anew(office: Office) -> None:
    team = office.team
    office.feed.diary.put(pitch())
    connection = await office.connect(ICS)
    rule = await team.rule(bot_defaults={"display_name": "Notes", "metadata": {"a": 1}})
    await team.sync(connection)
    (job,) = await team.rows()
    assert (job.display_name, job.labels["a"], job.labels["calendar"]["ruleId"]) == (
        "Notes", 1, rule.id,
    )  # fmt: skip
    # The feed is the same, and is not even sent again.
    await change(office, rule, connection, bot_defaults={"display_name": "Minutes"})
    assert len((await team.sync(connection)).placed.changed) == 1
    assert (await team.rows())[0].display_name == "Minutes"
    await change(office, rule, connection, action=RuleAction.SKIP)
    await team.sync(connection)
    assert [one[1] for one in await team.jobs()] == ["cancelled"]
    await change(office, rule, connection, action=RuleAction.RECORD)
    await team.sync(connection)
    assert sorted(one[1] for one in await team.jobs()) == ["cancelled", "queued"]
    assert office.feed.sent == 1
    # Once decided, they are left alone.
    assert (await team.read(connection)).rules_changed is False


async def test_two_people_of_a_team_in_one_meeting_send_one_bot(office: Office) -> None:
    """CAL-17; it comes as long as one of their calendars wants it."""
    team = office.team
    for server in (office.google, office.graph):
        server.diary.put(pitch())
    await team.rule()
    connections = [
        await office.connect(one) for one in (CalendarService.GOOGLE, CalendarService.MICROSOFT)
    ]
    for one in connections:
        await team.sync(one)
    assert len(await team.jobs()) == 1
    assert len({one.job_id for one in await team.events()}) == 1
    office.google.diary.cancel("pitch")
    await team.sync(connections[0])
    assert [one[1] for one in await team.jobs()] == ["queued"]
    office.graph.diary.cancel("pitch")
    await team.sync(connections[1])
    assert [one[1] for one in await team.jobs()] == ["cancelled"]


async def test_a_meeting_that_an_invite_reached_as_well_has_one_job(office: Office) -> None:
    """CAL-17, whichever comes first and whichever goes first."""
    team, book = office.team, office.team.book
    text = event(uid="pitch@example.com", start="DTSTART:20260520T090000Z", link=f"LOCATION:{MEET}")
    (series,) = read_calendar(calendar(text)).series
    async with book.database.begin() as session:
        invitation = Invitation(
            id="inv_1", team_id=book.team_id, uid=series.key, sender=ME,
            text=book.box.seal(SecretStr(series.text)), sequence=0, stamped_at=book.now,
            created_at=book.now, updated_at=book.now,
        )  # fmt: skip
        session.add(invitation)
        await session.flush()
        planner = Planner(session, book.box, team.settings, book.now)
        assert len((await planner.plan(invitation, series)).changes) == 1
    office.feed.diary.put(OLD)
    office.feed.diary.put(pitch())
    connection = await office.connect(ICS)
    await team.rule()
    assert (await team.sync(connection)).placed.created == []
    office.feed.diary.cancel("pitch")
    assert (await team.sync(connection)).placed.cancelled == []
    office.feed.diary.restore("pitch")
    await team.sync(connection)
    async with book.database.begin() as session:
        invitation = await session.get_one(Invitation, "inv_1")
        invitation.cancelled = True
        planner = Planner(session, book.box, team.settings, book.now)
        assert (await planner.plan(invitation, series)).changes == []
    assert [one[1] for one in await team.jobs()] == ["queued"]


async def test_a_job_that_a_person_cancelled_stays_cancelled_for_all_calendars(
    office: Office,
) -> None:
    team = office.team
    for server in (office.google, office.graph):
        server.diary.put(pitch())
    await team.rule()
    first = await office.connect(CalendarService.GOOGLE)
    await team.sync(first)
    await finish(office, Status.CANCELLED)
    await team.sync(await office.connect(CalendarService.MICROSOFT))
    office.google.diary.change("pitch", title="Pitch, again")
    await team.sync(first)
    assert [one[1] for one in await team.jobs()] == ["cancelled"]
    # At another time it is another meeting.
    office.google.diary.move("pitch", TOMORROW + timedelta(hours=2))
    await team.sync(first)
    assert sorted(one[1] for one in await team.jobs()) == ["cancelled", "queued"]


async def finish(office: Office, status: Status) -> None:
    async with office.team.book.database.begin() as session:
        for job in await office.team.rows():
            (await session.get_one(Job, job.id)).status = status


async def test_a_bot_in_its_meeting_stays_whatever_the_calendar_says(office: Office) -> None:
    team = office.team
    office.feed.diary.put(OLD)
    office.feed.diary.put(pitch())
    connection = await office.connect(ICS)
    await team.rule()
    await team.sync(connection)
    (job,) = await team.rows()
    await team.book.bring_to(job, Status.RECORDING)
    office.feed.diary.cancel("pitch")
    placed = (await team.sync(connection)).placed
    assert (placed.cancelled, await team.events()) == ([], [])
    assert [one[1] for one in await team.jobs()] == ["recording"]


async def test_what_has_begun_is_joined_when_it_is_new_and_left_when_it_is_not(
    office: Office, clock: ManualClock
) -> None:
    team = office.team
    connection = await office.connect(ICS)
    rule = await team.rule("skip")
    office.feed.diary.put(Entry("old", START - timedelta(minutes=10), "Old"))
    await team.sync(connection)
    await change(office, rule, connection, action=RuleAction.RECORD)
    office.feed.diary.put(Entry("new", START - timedelta(minutes=5), "New"))
    await team.sync(connection)
    assert [(one[0], one[2]) for one in await team.decisions()] == [
        ("Old", "skip: in_past"),
        ("New", "record: rule"),
    ]
    assert await team.jobs() == [("now", "queued")]
    # Again, and a minute later: nobody sends a second bot.
    for _ in range(2):
        clock.advance(60)
        await team.sync(connection)
    assert len(await team.jobs()) == 1


async def test_a_test_connection_makes_test_jobs_in_scripted_rooms(office: Office) -> None:
    """CV-12, D13."""
    team = office.team
    office.feed.diary.put(pitch())
    connection = await team.connect(ICS, office.feed, livemode=False)
    await team.rule(livemode=False)
    await team.sync(connection)
    (job,) = await team.rows()
    assert (job.livemode, job.platform, job.driver, job.room_url) == (
        False, "meet", "sandbox", None,
    )  # fmt: skip
    await team.sync(connection)
    assert len(await team.jobs()) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"storage": StorageSettings(managed="off")}, "cannot_record"),
        ({"billing": BillingSettings(enabled=True)}, "credit_exhausted"),
    ],
)
async def test_what_cannot_be_recorded_now_is_tried_again(
    office: Office, settings: dict[str, Any], why: str
) -> None:
    team, before = office.team, office.team.settings
    # More than a team is given.
    await record(team.book, 100_000)
    office.feed.diary.put(pitch())
    connection = await office.connect(ICS)
    await team.rule()
    team.settings = before.model_copy(update=settings)
    assert (await team.sync(connection)).placed.created == []
    assert [one[2] for one in await team.decisions()] == [f"skip: {why}"]
    team.settings = before
    assert len((await team.sync(connection)).placed.created) == 1
    assert [one[2] for one in await team.decisions()] == ["record: rule"]

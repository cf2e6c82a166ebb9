"""Updates of invites: no bot is lost, doubled, or at the wrong time (CAL-07, CAL-08)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core.accounts.people import sign_in
from core.invites.models import Invitation
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from tests.api.conftest import Api
from tests.api.test_invites import WEEKLY, Mail, actions
from tests.support.invites import event

pytestmark = pytest.mark.integration

# All of it is within the horizon.
DAILY = "RRULE:FREQ=DAILY;COUNT=4"


@pytest.fixture
async def mail(api: Api) -> Mail:
    async with api.book.database.begin() as session:
        await sign_in(session, api.book.box, "ada@example.com", now=api.book.now)
    return Mail(api)


async def coming(mail: Mail) -> list[str]:
    """Day and hour of each bot that will come."""
    return [
        f"{job.join_at:%d %H}"
        for job in await mail.jobs()
        if job.status is Status.QUEUED and job.join_at is not None
    ]


def occurrence(day: int, hour: int, **more: Any) -> str:
    """One of a series at nine, moved."""
    original = f"RECURRENCE-ID:202605{day}T090000Z"
    return event(original, start=f"DTSTART:202605{day}T{hour:02}0000Z", end=None, **more)


async def test_a_series_is_cancelled_whatever_number_an_exception_had(mail: Mail) -> None:
    """Google counts the changes of each occurrence by themselves."""
    await mail.send(event(DAILY))
    await mail.send(occurrence(21, 15, sequence=7, stamp="20260502T000000Z"))
    await mail.send(event(DAILY, sequence=1, stamp="20260503T000000Z"), method="CANCEL")
    assert await coming(mail) == []
    # What was written before the cancel and comes late brings nobody back.
    late = await mail.send(occurrence(22, 15, sequence=8, stamp="20260502T120000Z"))
    assert late["ignoredReason"] == "outdated"
    again = event(DAILY, sequence=2, stamp="20260504T000000Z")
    assert (await mail.send(again))["accepted"]
    assert await coming(mail) == ["20 09", "21 09", "22 09", "23 09"]


async def test_an_older_cancel_of_a_series_is_outdated(mail: Mail) -> None:
    await mail.send(event(DAILY, sequence=3))
    told = await mail.send(event(DAILY, sequence=2), method="CANCEL")
    assert told["ignoredReason"] == "outdated"
    assert len(await coming(mail)) == 4


async def test_who_is_taken_off_a_series_may_be_invited_to_one_of_its_meetings(mail: Mail) -> None:
    await mail.send(event(DAILY))
    await mail.send(event(DAILY, sequence=1, stamp="20260502T000000Z"), method="CANCEL")
    await mail.send(occurrence(22, 10, sequence=1, stamp="20260503T000000Z"))
    assert await coming(mail) == ["22 10"]


async def test_a_series_that_ends_sooner_keeps_what_was_moved_before_its_end(mail: Mail) -> None:
    """So Google cuts a series in two ("this and following events")."""
    await mail.send(event(DAILY))
    await mail.send(occurrence(21, 15, sequence=1))
    await mail.send(occurrence(23, 16, sequence=1))
    await mail.send(event("RRULE:FREQ=DAILY;UNTIL=20260522T235959Z", sequence=1))
    assert await coming(mail) == ["20 09", "21 15", "22 09"]


async def test_a_cancel_of_an_occurrence_outlives_the_end_of_its_series(mail: Mail) -> None:
    await mail.send(event(DAILY))
    await mail.send(occurrence(21, 9, sequence=1), method="CANCEL")
    await mail.send(event("RRULE:FREQ=DAILY;COUNT=3", sequence=1))
    assert await coming(mail) == ["20 09", "22 09"]


async def test_all_meetings_that_are_moved_together_have_their_bots(mail: Mail) -> None:
    """RANGE=THISANDFUTURE, and each keeps its job."""
    await mail.send(event(DAILY))
    moved = event(
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260522T090000Z",
        start="DTSTART:20260522T110000Z",
        end="DTEND:20260522T113000Z",
        sequence=1,
    )
    told = await mail.send(moved)
    assert sorted(actions(told)) == ["unchanged"] * 2 + ["updated"] * 2
    assert await coming(mail) == ["20 09", "21 09", "22 11", "23 11"]
    gone = event(
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260523T090000Z",
        start="DTSTART:20260523T090000Z",
        end=None,
        sequence=2,
    )
    await mail.send(gone, method="CANCEL")
    assert await coming(mail) == ["20 09", "21 09", "22 11"]


async def test_an_event_that_becomes_a_series_keeps_its_job(mail: Mail) -> None:
    await mail.send(event())
    told = await mail.send(event(DAILY, sequence=1))
    assert sorted(actions(told)) == ["created"] * 3 + ["unchanged"]
    assert {job.status for job in await mail.jobs()} == {Status.QUEUED}
    assert len(actions(await mail.send(event(sequence=2)))) == 4
    assert await coming(mail) == ["20 09"]


async def test_an_update_without_a_link_calls_the_bot_off_and_says_so(mail: Mail) -> None:
    await mail.send(event())
    told = await mail.send(event(link="LOCATION:Room 4", sequence=1))
    assert (told["accepted"], told["ignoredReason"]) == (False, "no_meeting_url")
    assert actions(told) == ["cancelled"]
    # What is older is known to be so.
    assert (await mail.send(event()))["ignoredReason"] == "outdated"
    assert await coming(mail) == []


async def test_an_update_to_another_platform_replaces_the_bot(mail: Mail) -> None:
    await mail.send(event())
    told = await mail.send(event(link="LOCATION:https://whereby.com/acme", sequence=1))
    assert sorted(actions(told)) == ["cancelled", "created"]
    assert [job.platform for job in await mail.jobs() if job.status is Status.QUEUED] == ["whereby"]


async def test_two_invites_to_one_meeting_that_moves_still_make_one_job(mail: Mail) -> None:
    """CAL-17: the second one follows the job that the first one has made."""
    await mail.send(event())
    await mail.send(event(uid="again"))
    for uid in ("one@example.com", "again"):
        moved = event(uid=uid, start="DTSTART:20260520T110000Z", end=None, sequence=1)
        assert (await mail.send(moved))["accepted"]
    assert await coming(mail) == ["20 11"]


async def test_a_team_that_cannot_record_now_can_still_call_bots_off(mail: Mail) -> None:
    await mail.send(event(DAILY))
    mail.api.app.state.services.settings.storage.managed = "off"
    more = "RDATE:20260522T150000Z"
    told = await mail.send(event(DAILY, more, "EXDATE:20260521T090000Z", sequence=1))
    assert "cancelled" in actions(told)
    assert await coming(mail) == ["20 09", "22 09", "23 09"]


async def test_a_link_to_the_operators_own_jitsi_is_one(mail: Mail) -> None:
    """As in connected calendars."""
    mail.api.app.state.services.settings.jitsi_server_url = "https://talk.example.org"
    assert (await mail.send(event(link="LOCATION:https://talk.example.org/Standup")))["accepted"]
    (job,) = await mail.jobs()
    assert job.platform == "jitsi"
    assert (job.room_url or "").startswith("https://talk.example.org/Standup#")


async def test_a_series_with_many_guests_and_exceptions_can_always_be_changed(mail: Mail) -> None:
    """All that is said of an event is kept as one text, which must not grow over its limit."""
    guests = [f"ATTENDEE;CN=Guest {number}:mailto:g{number}@example.com" for number in range(400)]
    daily = "RRULE:FREQ=DAILY"
    await mail.send(event(daily, *guests))
    for day in range(20, 32):
        body = f"DESCRIPTION:{'x' * 30_000}"
        told = await mail.send(
            event(
                f"RECURRENCE-ID:202605{day}T090000Z",
                *guests,
                body,
                start=f"DTSTART:202605{day}T150000Z",
                end=None,
                sequence=1,
            )
        )
        assert told["accepted"], day
    mail.api.book.clock.advance(timedelta(days=30).total_seconds())
    async with mail.api.book.database.begin() as session:
        before = (await session.exec(select(Invitation))).one().text
    await mail.send(event(daily, *guests, sequence=1))
    async with mail.api.book.database.begin() as session:
        after = (await session.exec(select(Invitation))).one().text
    assert len(after) < len(before) / 10


async def test_what_cannot_be_kept_is_refused_before_it_replaces_what_is_known(mail: Mail) -> None:
    body = f"DESCRIPTION:{'x' * 200_000}"
    await mail.send(event(WEEKLY, body))
    for day, accepted in ((20, True), (27, False)):
        big = event(
            f"RECURRENCE-ID:202605{day}T090000Z",
            body,
            start=f"DTSTART:202605{day}T150000Z",
            end=None,
            sequence=1,
        )
        told = await mail.send(big)
        assert told["accepted"] is accepted
    assert "KiB" in told["message"]
    assert await coming(mail) == ["20 15"]
    assert (await mail.send(event(WEEKLY, sequence=1), method="CANCEL"))["accepted"]
    assert await coming(mail) == []


async def test_a_cancel_need_not_say_when_the_meeting_was_to_be(mail: Mail) -> None:
    """RFC 5546, 3.2.5."""
    await mail.send(event(DAILY))
    bare = event(start="X-NO:1", end=None, link=None, sequence=1)
    assert len(actions(await mail.send(bare, method="CANCEL"))) == 4


async def test_a_person_who_cancelled_is_obeyed_where_an_event_becomes_a_series(mail: Mail) -> None:
    told = await mail.send(event())
    async with mail.api.book.database.begin() as session:
        job = await session.get_one(Job, told["jobs"][0]["jobId"])
        job.status = Status.CANCELLED
    await mail.send(event(DAILY, sequence=1))
    assert await coming(mail) == ["21 09", "22 09", "23 09"]

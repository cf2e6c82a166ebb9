"""Invites by mail: who may, what they make of jobs, and what is ignored (API-21, API-75, CAL)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlmodel import select

from core.accounts.people import sign_in
from core.invites.models import Invitation, InvitedMeeting
from core.jobs.lifecycle import Status
from core.jobs.models import Job, Source
from flows.horizon import Horizon
from tests.api.conftest import Api
from tests.api.credentials import INTAKE_TOKEN
from tests.support.clock import ManualClock
from tests.support.invites import MEET, calendar, event

pytestmark = pytest.mark.integration

PATH = "/api/v1/intake/calendar-invite"
PROVEN = {"spf": "pass", "dkim": "pass", "dmarc": "pass", "alignedDomain": "example.com"}
WEEKLY = "RRULE:FREQ=WEEKLY"


class Mail:
    """A mail worker that hands in invites of Ada, who has a login."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def send(
        self, *events: str, method: str = "REQUEST", sender: str = "ada@example.com", **more: Any
    ) -> dict[str, Any]:
        body = {
            "recipient": "bot@meetbot.example",
            "method": method,
            "rawIcs": calendar(*events, method=method),
            "sender": sender,
            "auth": PROVEN,
        } | more
        answer = await self.api.anonymous.post(
            PATH, json=body, headers={"authorization": f"Bearer {INTAKE_TOKEN}"}
        )
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def jobs(self) -> list[Job]:
        async with self.api.book.database.begin() as session:
            return list((await session.exec(select(Job).order_by(Job.join_at))).all())  # type: ignore[arg-type]


@pytest.fixture
async def mail(api: Api) -> Mail:
    async with api.book.database.begin() as session:
        await sign_in(session, api.book.box, "ada@example.com", now=api.book.now)
    return Mail(api)


def actions(told: dict[str, Any]) -> list[str]:
    return [job["action"] for job in told["jobs"]]


async def test_an_invite_with_a_link_makes_one_scheduled_job_with_one_run(mail: Mail) -> None:
    told = await mail.send(event())
    (job,) = await mail.jobs()
    assert told == {
        "accepted": True,
        "ignoredReason": None,
        "message": None,
        "jobs": [
            {
                "jobId": job.id,
                "externalId": "cal:one@example.com:20260520T090000Z",
                "joinAt": "2026-05-20T09:00:00.000Z",
                "action": "created",
            }
        ],
    }
    assert (job.source, job.meeting_url, job.livemode) == (Source.INVITE, MEET, True)
    assert job.labels["invite"]["summary"] == "Weekly"
    assert list(mail.api.dispatcher.submitted) == [job.id]


async def test_an_invite_as_fields_is_one_as_well(mail: Mail) -> None:
    fields: dict[str, Any] = {
        "uid": "fields",
        "organizer": {"email": "ada@example.com"},
        "start": "2026-05-20T09:00:00Z",
        "end": "2026-05-20T10:00:00Z",
        "timezone": "Europe/Berlin",
        "meetingUrl": MEET,
        "rawIcs": None,
    }
    assert actions(await mail.send(**fields)) == ["created"]


async def test_the_same_invite_again_changes_nothing(mail: Mail) -> None:
    await mail.send(event())
    assert actions(await mail.send(event())) == ["unchanged"]
    assert len(await mail.jobs()) == 1


async def test_a_newer_one_moves_the_job_and_an_older_one_does_not(mail: Mail) -> None:
    await mail.send(event())
    moved = event(start="DTSTART:20260521T100000Z", end=None, sequence=2)
    assert actions(await mail.send(moved)) == ["updated"]
    (job,) = await mail.jobs()
    assert f"{job.join_at:%d %H}" == "21 10"
    assert job.external_id == "cal:one@example.com:20260520T090000Z"
    assert (await mail.send(event(sequence=1)))["ignoredReason"] == "outdated"


async def test_a_cancelled_event_cancels_its_job_and_run_and_may_come_back(mail: Mail) -> None:
    await mail.send(event())
    gone = await mail.send(event(sequence=1), method="CANCEL")
    assert actions(gone) == ["cancelled"]
    (job,) = await mail.jobs()
    assert job.status is Status.CANCELLED
    assert mail.api.dispatcher.cancelled == [f"run-{job.id}"]
    assert (await mail.send(event()))["ignoredReason"] == "outdated"
    assert actions(await mail.send(event(sequence=2))) == ["created"]


async def test_a_cancel_that_comes_before_its_invite_counts(mail: Mail) -> None:
    assert (await mail.send(event(sequence=1), method="CANCEL"))["accepted"]
    assert (await mail.send(event(sequence=0)))["ignoredReason"] == "outdated"
    assert await mail.jobs() == []


async def test_a_series_is_planned_to_the_horizon_and_its_flow_extends_it(
    mail: Mail, clock: ManualClock
) -> None:
    assert actions(await mail.send(event(WEEKLY))) == ["created"]
    services = mail.api.app.state.services
    horizon = Horizon(services.database, services.box, services.settings, clock)
    assert await horizon.extend() == 0
    clock.advance(timedelta(days=7).total_seconds())
    assert await horizon.extend() == 1
    assert await horizon.extend() == 0
    assert [f"{job.join_at:%m-%d}" for job in await mail.jobs()] == ["05-20", "05-27"]


async def test_single_occurrences_are_moved_and_cancelled_by_themselves(mail: Mail) -> None:
    daily = "RRULE:FREQ=DAILY;COUNT=3"
    assert len(actions(await mail.send(event(daily)))) == 3
    moved = event("RECURRENCE-ID:20260521T090000Z", start="DTSTART:20260521T150000Z", end=None)
    assert sorted(actions(await mail.send(moved))) == ["unchanged", "unchanged", "updated"]
    gone = event("RECURRENCE-ID:20260522T090000Z", start="DTSTART:20260522T090000Z", end=None)
    assert "cancelled" in actions(await mail.send(gone, method="CANCEL"))
    left = [job for job in await mail.jobs() if job.status is Status.QUEUED]
    assert [f"{job.join_at:%d %H}" for job in left] == ["20 09", "21 15"]
    # One that is left out by the series goes as well; the new time is no exception of the old one.
    await mail.send(event(daily, "EXDATE:20260520T090000Z", sequence=1))
    left = [job for job in await mail.jobs() if job.status is Status.QUEUED]
    assert [f"{job.join_at:%d %H}" for job in left] == ["21 15"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"sender": "eve@example.com"}, "unknown_sender"),
        ({"sender": None}, "unknown_sender"),
        ({"sender": "not an address"}, "unknown_sender"),
        ({"auth": {"spf": "none"}}, "unverified_sender"),
        ({"auth": PROVEN | {"dmarc": "fail"}}, "unverified_sender"),
        ({"auth": PROVEN | {"alignedDomain": "evil.example"}}, "unverified_sender"),
        ({"auth": PROVEN | {"alignedDomain": "com"}}, "unverified_sender"),
        ({"auth": PROVEN | {"spf": "fail", "dkim": "fail"}}, "unverified_sender"),
    ],
)
async def test_only_a_proven_sender_with_a_login_is_followed(
    mail: Mail, more: dict[str, Any], reason: str
) -> None:
    """Whoever is named as the organizer: that is only a claim."""
    told = await mail.send(event(organizer="ada@example.com"), **more)
    assert (told["accepted"], told["ignoredReason"], told["jobs"]) == (False, reason, [])
    assert told["message"]
    assert await mail.jobs() == []


async def test_a_calendar_services_signature_speaks_for_the_organizer(mail: Mail) -> None:
    service: dict[str, Any] = {
        "sender": "calendar-notification@google.com",
        "auth": PROVEN | {"alignedDomain": "google.com"},
    }
    assert (await mail.send(event(), **service))["accepted"]
    unsigned = service | {"auth": {"spf": "pass", "dkim": "none", "alignedDomain": "google.com"}}
    told = await mail.send(event(uid="two"), **unsigned)
    assert told["ignoredReason"] == "unknown_sender"


async def test_only_who_invited_can_change_or_cancel(mail: Mail) -> None:
    """Another person of the same team knows the UID, and may not."""
    await mail.send(event())
    database = mail.api.book.database
    async with database.begin() as session:
        _, other = await sign_in(
            session, mail.api.book.box, "bob@example.com", now=mail.api.book.now
        )
        invitation = (await session.exec(select(Invitation))).one()
        # Both in one team.
        invitation.team_id = other.id
    for method in ("REQUEST", "CANCEL"):
        told = await mail.send(event(sequence=5), method=method, sender="bob@example.com")
        assert told["ignoredReason"] == "not_the_sender"
    assert [job.status for job in await mail.jobs()] == [Status.QUEUED]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (event(link="LOCATION:Room 4"), "no_meeting_url"),
        (event(start="DTSTART:20260501T090000Z", end=None), "in_past"),
        (event(start="DTSTART;VALUE=DATE:20260520", end=None), "all_day"),
        (event(start="DTSTART:20280520T090000Z", end=None), "too_far_ahead"),
        (event("RRULE:FREQ=SECONDLY"), "unsupported"),
        (event(start="DTSTART:soon"), "unreadable"),
    ],
)
async def test_what_no_bot_can_come_to_is_ignored_with_a_reason(
    mail: Mail, text: str, reason: str
) -> None:
    told = await mail.send(text)
    assert (told["accepted"], told["ignoredReason"]) == (False, reason)
    async with mail.api.book.database.begin() as session:
        assert (await session.exec(select(Invitation))).all() == []


async def test_a_meeting_that_has_begun_is_joined_now(mail: Mail) -> None:
    told = await mail.send(event(start="DTSTART:20260509T133000Z", end="DTEND:20260509T143000Z"))
    assert actions(told) == ["created"]
    assert [job.join_at for job in await mail.jobs()] == [None]


async def test_two_invites_to_one_meeting_make_one_job(mail: Mail) -> None:
    """CAL-17; the second one keeps it when the first is cancelled."""
    await mail.send(event())
    assert actions(await mail.send(event(uid="again"))) == ["unchanged"]
    assert actions(await mail.send(event(sequence=1), method="CANCEL")) == []
    (job,) = await mail.jobs()
    assert job.status is Status.QUEUED
    assert actions(await mail.send(event(uid="again", sequence=1), method="CANCEL")) == [
        "cancelled"
    ]


async def test_a_job_that_a_person_cancelled_stays_cancelled_until_it_is_moved(mail: Mail) -> None:
    told = await mail.send(event())
    async with mail.api.book.database.begin() as session:
        job = await session.get_one(Job, told["jobs"][0]["jobId"])
        job.status = Status.CANCELLED
    assert actions(await mail.send(event(sequence=1))) == ["unchanged"]
    moved = event(start="DTSTART:20260522T090000Z", end=None, sequence=2)
    assert actions(await mail.send(moved)) == ["created"]


async def test_a_bot_on_its_way_is_replaced_when_its_meeting_moves(mail: Mail) -> None:
    told = await mail.send(event())
    async with mail.api.book.database.begin() as session:
        job = await session.get_one(Job, told["jobs"][0]["jobId"])
    await mail.api.book.take(job)
    moved = event(start="DTSTART:20260520T110000Z", end=None, sequence=1)
    assert sorted(actions(await mail.send(moved))) == ["cancelled", "created"]


async def test_a_sandbox_room_makes_a_test_job(mail: Mail) -> None:
    told = await mail.send(event(link="LOCATION:http://127.0.0.1:8081/r/room1?t=guest"))
    assert told["accepted"]
    (job,) = await mail.jobs()
    assert (job.platform, job.livemode) == ("sandbox", False)


async def test_a_run_that_cannot_be_made_now_is_made_later(mail: Mail) -> None:
    mail.api.dispatcher.down = True
    assert (await mail.send(event()))["accepted"]
    assert [job.flow_run_id for job in await mail.jobs()] == [None]


@pytest.mark.parametrize(
    "body",
    [
        {"method": "REQUEST", "recipient": "bot@x.example"},
        {"method": "REPLY", "recipient": "bot@x.example", "rawIcs": "x"},
        {"method": "REQUEST", "recipient": "bot@x.example", "organizer": {"email": "a@b.example"}},
        {
            "method": "REQUEST",
            "recipient": "bot@x.example",
            "rawIcs": calendar(event(uid="a"), event(uid="b")),
        },
    ],
)
async def test_a_body_that_names_no_single_event_is_answered_400(
    api: Api, body: dict[str, Any]
) -> None:
    headers = {"authorization": f"Bearer {INTAKE_TOKEN}"}
    assert (await api.anonymous.post(PATH, json=body, headers=headers)).status_code == 400
    assert (await api.anonymous.post(PATH, json=body)).status_code == 401


async def test_a_team_that_gets_too_many_invites_is_told_when_to_go_on(mail: Mail) -> None:
    services = mail.api.app.state.services
    services.settings.intake.invites = 1
    await mail.send(event())
    body = {"recipient": "b@x.example", "method": "REQUEST", "rawIcs": calendar(event())}
    answer = await mail.api.anonymous.post(
        PATH,
        json=body | {"sender": "ada@example.com", "auth": PROVEN},
        headers={"authorization": f"Bearer {INTAKE_TOKEN}"},
    )
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


async def test_what_people_meet_about_is_sealed(mail: Mail) -> None:
    await mail.send(event("DESCRIPTION:a secret plan"))
    async with mail.api.book.database.begin() as session:
        row = (await session.exec(select(Invitation))).one()
        meeting = (await session.exec(select(InvitedMeeting))).one()
    assert "secret" not in row.text
    assert SecretStr("") != mail.api.book.box.open(row.text)
    assert (meeting.key, meeting.cancelled) == ("", False)

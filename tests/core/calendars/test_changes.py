"""What changes at awkward moments, and answers that are wrong once: no job is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.responses import JSONResponse
from pydantic import SecretStr

from core.calendars.connections import NewConnection, connect, due_connections
from core.calendars.grants import Grant
from core.calendars.models import CalendarService, State
from core.calendars.syncing import TRIED_AGAIN, Outcome
from core.integrations.pool import Owner
from tests.core.calendars.conftest import Office
from tests.support.calendars.diary import CUSTOMER, ME, Entry
from tests.support.calendars.google import error
from tests.support.clock import START, ManualClock
from tests.support.invites import calendar, event

pytestmark = pytest.mark.integration

TOMORROW = START.replace(day=20, hour=9)
GOOGLE, MICROSOFT, ICS = CalendarService.GOOGLE, CalendarService.MICROSOFT, CalendarService.ICS


def pitch() -> Entry:
    return Entry("pitch", TOMORROW, "Pitch", people=(ME, CUSTOMER))


async def test_a_meeting_in_two_calendars_that_moves_still_has_one_job(office: Office) -> None:
    """CAL-17: whichever calendar is synced first, the other one follows it."""
    team, servers = office.team, (office.google, office.graph)
    await team.rule()
    connections = []
    for provider, server in zip((GOOGLE, MICROSOFT), servers, strict=True):
        server.diary.put(pitch())
        connections.append(await office.connect(provider))
    for one in connections:
        await team.sync(one)
    for hour in (11, 13):
        for server in servers:
            server.diary.move("pitch", TOMORROW.replace(hour=hour))
        for one in connections:
            await team.sync(one)
        queued = [job for job in await team.jobs() if job[1] == "queued"]
        assert queued == [(f"05-20 {hour}:00", "queued")]
        assert len({one.job_id for one in await team.events()}) == 1
        connections.reverse()


@pytest.mark.parametrize("provider", CalendarService)
async def test_a_meeting_that_is_moved_to_where_it_is_over_sends_no_bot(
    office: Office, provider: CalendarService
) -> None:
    team, diary = office.team, office.diary(provider)
    diary.put(pitch())
    connection = await office.connect(provider)
    await team.rule()
    await team.sync(connection)
    diary.move("pitch", START - timedelta(hours=3))
    await team.sync(connection)
    assert [job[1] for job in await team.jobs()] == ["cancelled"]


async def test_of_what_a_provider_says_twice_the_last_counts(office: Office) -> None:
    """Deltas may name an event several times, on different pages too: gone, and there again."""
    team = office.team
    office.google.diary.put(pitch())
    connection = await office.connect(GOOGLE)
    await team.rule()
    await team.sync(connection)
    times = {name: {"dateTime": f"2026-05-20T{hour}:00:00Z"} for name, hour in WHEN.items()}
    there = {"id": "pitch", "summary": "Pitch", "hangoutLink": pitch().link, **times}
    gone = {"id": "pitch", "status": "cancelled"}
    for first, second, status in ((gone, there, "queued"), (there, gone, "cancelled")):
        office.google.faults.extend(
            [
                JSONResponse({"items": [first], "nextPageToken": "2"}),
                JSONResponse({"items": [second], "nextSyncToken": "sync-1"}),
            ]
        )
        await team.sync(connection)
        assert [job[1] for job in await team.jobs()] == [status]


WHEN = {"start": "09", "end": "10"}


async def test_a_token_that_is_lost_between_pages_begins_anew(office: Office) -> None:
    team, server = office.team, office.google
    server.page = 1
    for number in range(3):
        server.diary.put(replace(pitch(), id=f"p{number}", start=TOMORROW + timedelta(days=number)))
    connection = await office.connect(GOOGLE)
    await team.rule()
    await team.sync(connection)
    server.diary.put(replace(pitch(), id="new", start=TOMORROW + timedelta(hours=5)))
    page = JSONResponse({"items": [], "nextPageToken": "1"})
    server.faults.extend([page, error(410, "fullSyncRequired")])
    assert (await team.sync(connection)).outcome is Outcome.DONE
    assert [job[1] for job in await team.jobs()] == ["queued"] * 4


async def test_a_fault_between_pages_changes_nothing_and_is_made_up_for(office: Office) -> None:
    team, server = office.team, office.google
    server.diary.put(pitch())
    connection = await office.connect(GOOGLE)
    await team.rule()
    await team.sync(connection)
    server.diary.cancel("pitch")
    page = JSONResponse({"items": [], "nextPageToken": "1"})
    server.faults.extend([page, error(503, "backendError")])
    assert (await team.sync(connection)).outcome is Outcome.LATER
    assert [job[1] for job in await team.jobs()] == ["queued"]
    await team.sync(connection)
    assert [job[1] for job in await team.jobs()] == ["cancelled"]


async def test_a_feed_that_is_empty_once_calls_nobody_off(office: Office) -> None:
    team = office.team
    office.feed.diary.put(pitch())
    connection = await office.connect(ICS)
    await team.rule()
    await team.sync(connection)
    office.feed.text = calendar(method=None)
    assert (await team.sync(connection)).outcome is Outcome.DONE
    office.feed.text = None
    await team.sync(connection)
    assert [job[1] for job in await team.jobs()] == ["queued"]
    # When it is so again, it is so.
    office.feed.text = calendar(method=None)
    for status in ("queued", "cancelled"):
        await team.sync(connection)
        assert [job[1] for job in await team.jobs()] == [status]


async def test_a_feed_that_breaks_off_calls_nobody_off(office: Office) -> None:
    team = office.team
    office.feed.diary.put(pitch())
    connection = await office.connect(ICS)
    await team.rule()
    await team.sync(connection)
    whole = calendar(event(uid="other"), event(uid="pitch@example.com"), method=None)
    office.feed.text = whole[: whole.index("UID:pitch")]
    synced = await team.sync(connection)
    assert (synced.outcome, synced.problem) == (
        Outcome.LATER,
        "The feed breaks off: it does not end with END:VCALENDAR.",
    )
    assert [job[1] for job in await team.jobs()] == ["queued"]


async def test_a_title_is_read_whole_where_its_line_breaks_within_a_character(
    office: Office,
) -> None:
    """RFC 5545 counts bytes; rules look at titles."""
    text = calendar(event("X-A:1"), method=None).replace("Weekly", "Prüfung").encode()
    office.feed.text = text.replace("ü".encode(), "ü".encode()[:1] + b"\r\n " + "ü".encode()[1:])
    team = office.team
    connection = await office.connect(ICS)
    await team.rule(title_regex="^Prüfung$")
    await team.sync(connection)
    assert [one[0] for one in await team.jobs()] == ["05-20 09:00"]


@pytest.mark.parametrize("revoked", [False, True])
async def test_who_connects_anew_while_a_sync_is_at_it_keeps_the_new_grant(
    office: Office, *, revoked: bool
) -> None:
    """The sync with the old grant neither writes over it nor says that it is revoked."""
    team, server = office.team, office.google
    connection = await office.connect(GOOGLE)
    token = server.grant()
    new = NewConnection(
        owner=Owner(connection.team_id, connection.livemode),
        connection_id=connection.id,
        provider=GOOGLE,
        calendar_id="primary",
        account=ME,
        grant=Grant(refresh_token=SecretStr(token)),
    )

    async def meanwhile() -> None:
        server.before_token = None
        server.revoked = revoked
        async with team.book.database.begin() as session:
            await connect(session, team.book.box, new, now=team.book.now)

    server.before_token = meanwhile
    synced = await team.sync(connection)
    assert synced.outcome is (Outcome.ERROR if revoked else Outcome.BUSY)
    server.revoked = False
    stored = await team.read(connection)
    assert stored.grant is not None
    assert Grant.opened(team.book.box, stored.grant).refresh_token == SecretStr(token)
    assert (stored.state, stored.problem) == (State.ACTIVE, None)
    assert (await team.sync(connection)).outcome is Outcome.DONE


async def test_a_provider_that_refuses_for_a_while_is_tried_again(
    office: Office, clock: ManualClock
) -> None:
    """As when the operator's client there is switched off: nobody has to connect again."""
    team = office.team
    connection = await office.connect(GOOGLE)
    office.google.faults.extend([error(403, "accessNotConfigured")] * 2)
    assert (await team.sync(connection)).outcome is Outcome.ERROR
    assert await due(office) == []
    # Who asks need not wait.
    await team.ask(connection)
    assert await due(office) == [connection.id]
    office.google.faults.extend([error(403, "accessNotConfigured")] * 2)
    assert (await team.sync(connection)).outcome is Outcome.ERROR
    clock.advance(TRIED_AGAIN.total_seconds())
    assert await due(office) == [connection.id]
    assert (await team.sync(connection)).outcome is Outcome.DONE
    stored = await team.read(connection)
    assert (stored.state, stored.problem) == (State.ACTIVE, None)


async def due(office: Office) -> list[str]:
    book = office.team.book
    async with book.database.begin() as session:
        return await due_connections(session, now=book.now, asked_only=False, limit=9)

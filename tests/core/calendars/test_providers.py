"""Providers that answer as they should not: nothing leaks, nothing hangs (CAL-18, CV-15)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi.responses import JSONResponse, Response
from pydantic import SecretStr

from core.accounts.replication import TABLES
from core.calendars.base import AccessRefused, CursorLost, Source, Window
from core.calendars.grants import Grant
from core.calendars.http import MOST_BYTES, JsonClient
from core.calendars.microsoft import MicrosoftCalendar
from core.calendars.models import CalendarService
from core.errors import Unavailable
from core.secrets import SecretBox
from tests.core.calendars.conftest import Office
from tests.support.calendars.diary import ME, Entry
from tests.support.calendars.google import error as google_error
from tests.support.calendars.microsoft import error as graph_error
from tests.support.calendars.server import CalendarServer
from tests.support.clock import START, ManualClock

pytestmark = pytest.mark.integration

WINDOW = Window(START, START.replace(day=20))


@asynccontextmanager
async def graph(server: CalendarServer, clock: ManualClock) -> AsyncIterator[MicrosoftCalendar]:
    async with JsonClient("Microsoft", timeout_seconds=5, clock=clock) as http:
        yield MicrosoftCalendar(http, f"{server.origin}/v1.0", clock)


def source(server: CalendarServer) -> Source:
    token = "access-1"
    server.access_tokens[token] = START.replace(year=2027)
    return Source("primary", ME, SecretStr(token))


ANSWERS: dict[str, tuple[Response, type[Exception]]] = {
    "a-page-elsewhere": (
        JSONResponse({"value": [], "@odata.nextLink": "https://evil.example/x"}),
        Unavailable,
    ),
    "no-next-page": (JSONResponse({"value": []}), Unavailable),
    "no-object": (JSONResponse(["no", "object"]), Unavailable),
    "no-json": (Response("<html>"), Unavailable),
    "too-large": (Response("x" * (MOST_BYTES + 1)), Unavailable),
    "a-fault": (graph_error(500, "InternalServerError"), Unavailable),
    "state-invalid": (graph_error(400, "SyncStateInvalid"), CursorLost),
    "not-there": (graph_error(404, "ErrorItemNotFound"), AccessRefused),
    "a-redirect": (
        Response(status_code=302, headers={"location": "https://evil.example/"}),
        Unavailable,
    ),
}


@pytest.mark.parametrize(("answer", "error"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_is_none_is_an_error_that_is_known(
    office: Office, clock: ManualClock, answer: Response, error: type[Exception]
) -> None:
    """A token goes to the provider's own server, wherever a page says that the next one is."""
    office.graph.faults.append(answer)
    async with graph(office.graph, clock) as calendar:
        with pytest.raises(error):
            await calendar.changes(source(office.graph), None, WINDOW)
        with pytest.raises(CursorLost):
            await calendar.changes(source(office.graph), "https://evil.example/delta", WINDOW)


async def test_what_a_series_shares_is_asked_for_where_it_is_missing(
    office: Office, clock: ManualClock
) -> None:
    """In an incremental answer its master is not there again."""
    office.graph.diary.put(Entry("s", START.replace(day=11), "Series", weeks=2))
    async with graph(office.graph, clock) as calendar:
        first = await calendar.changes(source(office.graph), None, WINDOW)
        office.graph.diary.move("s/0", START.replace(day=12))
        (moved,) = (await calendar.changes(source(office.graph), first.cursor, WINDOW)).events
    assert (moved.title, moved.start, moved.key) == (
        "Series",
        START.replace(day=12),
        "20260511T140000Z",
    )


@pytest.mark.parametrize("secret_ends", [False, True])
async def test_a_client_that_is_wrong_is_the_operators_to_mend(
    office: Office, box: SecretBox, secret_ends: bool
) -> None:
    """Only a grant of a customer's own client is lost with it."""
    team = office.team
    oauth = team.providers.oauth(CalendarService.GOOGLE)
    assert oauth is not None
    own: dict[str, Any] = {"client_id": "other", "client_secret": SecretStr("x")}
    grant = Grant(refresh_token=SecretStr(office.google.grant()), **(own if secret_ends else {}))
    assert Grant.opened(box, grant.sealed(box)) == grant
    if not secret_ends:
        object.__setattr__(oauth, "client_secret", SecretStr("ended"))
    with pytest.raises(AccessRefused if secret_ends else Unavailable, match="invalid_client"):
        await oauth.fresh(grant, START)


async def test_rotated_refresh_tokens_are_kept_whatever_happens_after(office: Office) -> None:
    """Microsoft's are good once: a sync that fails later must not lose the new one."""
    team = office.team
    connection = await office.connect(CalendarService.MICROSOFT)
    for _ in range(2):
        office.graph.faults.append(graph_error(500, "InternalServerError"))
        await team.sync(connection)
        team.book.clock.advance(3700)
    assert (await team.sync(connection)).outcome == "done"
    assert (office.graph.refreshes, len(office.graph.refresh_tokens)) == (3, 1)


async def test_a_token_that_ends_before_its_time_is_replaced(office: Office) -> None:
    team = office.team
    connection = await office.connect(CalendarService.GOOGLE)
    await team.sync(connection)
    office.google.expire_tokens()
    assert (await team.sync(connection)).outcome == "done"
    office.google.faults.extend([google_error(403, "forbidden")] * 2)
    assert (await team.sync(connection)).outcome == "error"


def test_calendars_stay_in_their_region() -> None:
    """RG-05, CAL-19: nothing of them is replicated."""
    assert not [table.name for table in TABLES if "calendar" in table.name]

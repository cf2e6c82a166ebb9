"""What teams may ask for in a minute (API-85, CV-19)."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from api.request_meter import RequestMeter
from core.database import Database
from core.errors import RateLimited
from tests.api.conftest import MEET, Api, client, key_of
from tests.support.clock import ManualClock

pytestmark = pytest.mark.integration

LIMIT = 20


@pytest.fixture
def meter(database: Database, clock: ManualClock) -> RequestMeter:
    return RequestMeter(database, clock, LIMIT)


def refused(meter: RequestMeter, subject: str = "a") -> int | None:
    """None, or after how many seconds to come back."""
    try:
        meter.count(subject)
    except RateLimited as error:
        return error.retry_after_seconds
    return None


async def test_the_sixty_first_dispatch_in_a_minute_is_refused(api: Api) -> None:
    """Other requests have a limit of their own, and so has each team."""
    body = {"meetingUrl": MEET}
    for number in range(60):
        answer = await api.live.post("/api/v1/jobs", json=body | {"externalId": f"e-{number}"})
        assert answer.status_code == 201
    refused = await api.live.post("/api/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await api.live.get("/api/v1/jobs")).status_code == 200
    async with client(api.anonymous._transport, await key_of(api.book, livemode=False)) as other:  # type: ignore[arg-type]
        assert (await other.post("/api/v1/jobs", json=body)).status_code == 429
    api.book.clock.advance(120)
    assert (await api.live.post("/api/v1/jobs", json=body)).status_code == 201


async def test_requests_by_key_and_by_login_are_counted(api: Api) -> None:
    services = api.app.state.services
    few = RequestMeter(services.database, services.clock, 3)
    object.__setattr__(services, "meter", few)
    statuses = [(await api.live.get("/api/v1/jobs")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert (await api.anonymous.get("/healthz")).status_code == 200
    await few.settled()


async def test_a_limit_holds_within_a_minute(meter: RequestMeter, clock: ManualClock) -> None:
    for _ in range(LIMIT):
        assert refused(meter) is None
        await meter.settled()
        clock.advance(2.9)
    wait = refused(meter)
    assert wait is not None
    assert refused(meter, "b") is None
    clock.advance(wait)
    assert refused(meter) is None
    await meter.settled()


async def test_processes_count_together(
    database: Database, clock: ManualClock, meter: RequestMeter
) -> None:
    other = RequestMeter(database, clock, LIMIT)
    for _ in range(LIMIT - 1):
        assert refused(meter) is None
    clock.advance(1)
    assert refused(meter) is None
    await meter.settled()
    # It has not heard of the others yet; a second later it has.
    assert refused(other) is None
    await other.settled()
    assert refused(other) is not None


async def test_a_database_that_is_away_lets_each_process_count_for_itself(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    meter = RequestMeter(database, clock, LIMIT)
    for _ in range(LIMIT):
        assert refused(meter) is None
    await meter.settled()
    assert "not counted for the other processes" in caplog.text
    assert refused(meter) is not None
    await database.close()

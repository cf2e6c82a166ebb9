"""Usage over HTTP (API-32, API-33, API-81)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.api.conftest import Api
from tests.api.credentials import ask, log_in
from tests.support.billing import record

pytestmark = pytest.mark.integration

USAGE = "/api/v1/usage"


async def test_the_summary_equals_the_events(api: Api) -> None:
    """API-32, API-81: numbers equal a recomputation from the events."""
    await record(api.book, 600)
    api.book.clock.advance(timedelta(days=1).total_seconds())
    await record(api.book, 4253, transcribed=True)
    await record(api.book, 59)
    summary = (await api.live.get(USAGE)).json()
    events = (await api.live.get(f"{USAGE}/events")).json()["data"]
    assert summary["monthToDate"] == {
        "bots": 3,
        "seconds": 600 + 4253 + 59,
        "hours_billed": 1.348,
        "hoursBilled": 1.348,
        "amount_usd": 0.522,
        "amountUsd": 0.522,
    }
    cost = sum(
        Decimal(str(event["amount_usd"])) + Decimal(str(event["transcription_amount_usd"]))
        for event in events
    )
    assert cost == Decimal("0.522")
    assert summary["today"]["bots"] == 2
    assert summary["today"]["amount_usd"] == 0.472
    assert summary["creditGrantedUsd"] == 5.0
    assert summary["creditRemainingUsd"] == 4.478
    assert summary["creditRemainingHours"] == 14.9
    assert summary["currentInvoiceEstimateUsd"] == 0
    assert summary["periodStart"] == "2026-05-01T00:00:00.000Z"
    assert summary["periodEnd"] == "2026-06-01T00:00:00.000Z"


async def test_the_invoice_is_what_credit_does_not_cover(api: Api) -> None:
    """BL-13: credit is used first, and last month's usage has used it already."""
    await record(api.book, 36_000)
    api.book.clock.advance(timedelta(days=31).total_seconds())
    await record(api.book, 36_000)
    summary = (await api.live.get(USAGE)).json()
    assert summary["monthToDate"]["amount_usd"] == 3.0
    assert summary["currentInvoiceEstimateUsd"] == 1.0
    assert summary["creditRemainingUsd"] == 0
    assert summary["creditRemainingHours"] == 0


async def test_events_have_the_promised_fields(api: Api) -> None:
    """API-33, BL-02, CV-02."""
    job = await record(api.book, 4253, transcribed=True)
    page = (await api.live.get(f"{USAGE}/events")).json()
    recording, transcript = sorted(page["data"], key=lambda event: event["kind"])
    assert page["nextCursor"] is None
    assert recording == {
        "id": recording["id"],
        "event": "bot.usage_recorded",
        "job_id": job.id,
        "kind": "recording",
        "revision": 0,
        "seconds": 4253,
        "hours_billed": 1.181,
        "amount_usd": 0.354,
        "transcription_hours_billed": 0,
        "transcription_amount_usd": 0,
        "billed": True,
        "livemode": True,
        "recorded_at": "2026-05-09T14:00:00.000Z",
    }
    assert transcript["kind"] == "transcription"
    assert (transcript["revision"], transcript["transcription_amount_usd"]) == (1, 0.118)


async def test_events_come_in_pages_newest_first(api: Api) -> None:
    """CV-13."""
    jobs = [(await record(api.book, 60 + n)).id for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.live.get(f"{USAGE}/events", params=query)).json()
        seen += [event["job_id"] for event in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == jobs[::-1]
    assert (await api.live.get(f"{USAGE}/events", params={"cursor": "no"})).status_code == 400


async def test_live_and_test_usage_are_apart(api: Api) -> None:
    """CV-12, BL-10."""
    await record(api.book, 600)
    await record(api.book, 700, livemode=False)
    (event,) = (await api.test.get(f"{USAGE}/events")).json()["data"]
    assert (event["seconds"], event["amount_usd"], event["billed"]) == (700, 0, False)
    assert (await api.test.get(USAGE)).json()["monthToDate"]["seconds"] == 700
    assert (await api.live.get(USAGE)).json()["monthToDate"]["seconds"] == 600


async def test_logins_see_their_own_teams_usage_only(api: Api) -> None:
    """API-32, CV-11."""
    await record(api.book, 600)
    stranger = await log_in(api.book, "eve@example.com")
    summary = await ask(api, "GET", USAGE, stranger.credential)
    assert summary.status_code == 200
    assert summary.json()["monthToDate"]["bots"] == 0
    assert (await ask(api, "GET", f"{USAGE}/events", stranger.credential)).json()["data"] == []

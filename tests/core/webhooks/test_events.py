"""Bodies in both versions, with every older spelling (WH-10 to WH-15, CON-06 to CON-15)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.webhooks.events import Envelope, EventName, body
from tests.support.clock import START

pytestmark = pytest.mark.unit

FAILED = {
    "event": "job.failed",
    "jobId": "job_1",
    "externalId": "x",
    "status": "failed",
    "failure_code": "lobby_timeout",
    "failureCode": "lobby_timeout",
    "failure_detail": "Nobody let the bot in.",
    "failure_reason": "Nobody let the bot in.",
    "error": "Nobody let the bot in.",
}


def sent(
    event: EventName, data: dict[str, Any], *, version: int = 2, legacy: bool = True
) -> dict[str, Any]:
    envelope = Envelope(
        delivery_id="dlv_1", event=event, emitted_at=START, attempt=3, version=version, data=data
    )
    found: dict[str, Any] = json.loads(body(envelope, legacy_fields=legacy))
    return found


def test_a_version_2_body_has_every_mirror() -> None:
    """CON-08, CON-09, WH-11."""
    content = sent(EventName.FAILED, FAILED)
    assert content == {
        "deliveryId": "dlv_1",
        "id": "dlv_1",
        "event": "job.failed",
        "type": "bot.failed",
        "emittedAt": "2026-05-09T14:00:00.000Z",
        "attempt": 3,
        "version": 2,
        "resendOf": None,
        "data": FAILED,
    }


@pytest.mark.parametrize(
    ("event", "status", "mirror"),
    [
        (EventName.STATUS_CHANGED, "finalizing", "bot.left"),
        (EventName.STATUS_CHANGED, "recording", "job.status_changed"),
        (EventName.FINALIZED, "completed", "recording.finalized"),
        (EventName.FAILED, "failed", "bot.failed"),
        (EventName.COMPETING_BOT, "recording", "bot.competing_bot_detected"),
    ],
)
def test_the_older_name_of_each_event(event: EventName, status: str, mirror: str) -> None:
    """CON-06, CON-07."""
    assert sent(event, {"status": status})["type"] == mirror


def test_version_1_has_no_version_and_no_failure_code() -> None:
    """WH-13."""
    content = sent(EventName.FAILED, FAILED, version=1)
    assert "version" not in content
    assert content["data"]["failure_reason"] == content["data"]["error"] == FAILED["error"]
    assert not {"failure_code", "failureCode", "failure_detail"} & set(content["data"])


def test_the_switch_takes_the_two_legacy_fields_away() -> None:
    """WH-12, CON-14."""
    data = sent(EventName.FAILED, FAILED, legacy=False)["data"]
    assert not {"failure_reason", "error"} & set(data)
    assert data["failure_detail"] == FAILED["failure_detail"]


def test_there_are_exactly_five_events() -> None:
    """WH-01."""
    assert {event.value for event in EventName} == {
        "job.status_changed",
        "job.finalized",
        "job.failed",
        "bot.recording_permission_response",
        "bot.competing_bot_detected",
    }

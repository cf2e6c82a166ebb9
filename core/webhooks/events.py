"""The five webhook events and their bodies, versions 2 and 1 (requirements.md section 3).

A body carries every spelling that the reference's samples read (CON-06 to CON-15).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from core.clock import rfc3339
from core.jobs.lifecycle import Status


class EventName(StrEnum):
    """Exactly what is emitted (WH-01)."""

    STATUS_CHANGED = "job.status_changed"
    FINALIZED = "job.finalized"
    FAILED = "job.failed"
    PERMISSION_RESPONSE = "bot.recording_permission_response"
    COMPETING_BOT = "bot.competing_bot_detected"


MIRRORS: Final = {
    EventName.FINALIZED: "recording.finalized",
    EventName.FAILED: "bot.failed",
}
# Version 1 is older than the failure codes.
NOT_IN_V1: Final = frozenset({"failure_code", "failureCode", "failure_detail"})
LEGACY: Final = frozenset({"failure_reason", "error"})


@dataclass(frozen=True)
class Envelope:
    """What is said around the data of one attempt at one delivery."""

    delivery_id: str
    event: EventName
    emitted_at: datetime
    attempt: int
    version: int
    data: dict[str, Any]
    resend_of: str | None = None


def mirror_type(event: EventName, data: dict[str, Any]) -> str:
    """The older name of an event, in the field `type` (CON-06, CON-07)."""
    if event is EventName.STATUS_CHANGED and data.get("status") == Status.FINALIZING:
        return "bot.left"
    return MIRRORS.get(event, event.value)


def body(envelope: Envelope, *, legacy_fields: bool = True) -> bytes:
    """The exact bytes to sign and send. `legacy_fields` is the switch of WH-12."""
    hidden = frozenset[str]()
    if envelope.version == 1:
        hidden = NOT_IN_V1
    elif not legacy_fields:
        hidden = LEGACY
    content: dict[str, Any] = {
        "deliveryId": envelope.delivery_id,
        "id": envelope.delivery_id,
        "event": envelope.event.value,
        "type": mirror_type(envelope.event, envelope.data),
        "emittedAt": rfc3339(envelope.emitted_at),
        "attempt": envelope.attempt,
    }
    if envelope.version != 1:
        content["version"] = envelope.version
    content["resendOf"] = envelope.resend_of
    content["data"] = {k: v for k, v in envelope.data.items() if k not in hidden}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

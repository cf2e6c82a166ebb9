"""What goes out: the exact bytes of one attempt at one delivery, signed (WH-03 to WH-06)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from core.webhooks.events import Envelope, body
from core.webhooks.models import Delivery
from core.webhooks.signing import signature

METHOD: Final = "POST"
USER_AGENT: Final = "meetbot-webhooks/1"


@dataclass(frozen=True)
class Message:
    """A request as its receiver gets it; the signature in `headers` is over `body`."""

    body: bytes
    headers: Mapping[str, str]
    method: str = METHOD


def message(
    delivery: Delivery, secrets: Sequence[SecretStr], *, attempt: int, legacy_fields: bool
) -> Message:
    """The `attempt`-th try of `delivery`, signed with each of `secrets`."""
    content = body(
        Envelope(
            delivery_id=delivery.id,
            event=delivery.event,
            emitted_at=delivery.emitted_at,
            attempt=attempt,
            version=delivery.version,
            data=delivery.data,
            resend_of=delivery.resend_of,
        ),
        legacy_fields=legacy_fields,
    )
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "x-meetbot-signature": signature(content, secrets),
        "x-meetbot-webhook-version": str(delivery.version),
        "x-meetbot-event": delivery.event.value,
        "x-meetbot-delivery": delivery.id,
    }
    return Message(content, headers)

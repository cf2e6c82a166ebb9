"""Deliveries of webhooks, sending them again, and listening to them (API-34 to 36, API-82)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator

from api.schemas.wire import MomentIn, MomentOut, Request, Response
from core.accounts.models import Team
from core.webhooks.events import EventName
from core.webhooks.models import Delivery, DeliveryAttempt, DeliveryStatus

DeliveryState = Literal["pending", "delivered", "failed"]
# What was never addressed to anybody is not shown.
STATES: Final[dict[DeliveryStatus, DeliveryState]] = {
    DeliveryStatus.PENDING: "pending",
    DeliveryStatus.DELIVERED: "delivered",
    DeliveryStatus.EXHAUSTED: "failed",
}
STATUSES: Final = {state: status for status, state in STATES.items()}


class AttemptOut(Response):
    """One try: `statusCode` is null when there was no answer, and `error` says why."""

    attempt: int
    at: MomentOut
    status_code: int | None
    latency_ms: int
    error: str | None


class DeliveryOut(Response):
    """One webhook on its way to one address.

    `failed`: given up after six attempts, or because the receiver answered 410; it can be sent
    again. `resendOf` is the delivery that this one repeats.
    """

    delivery_id: str
    job_id: str
    event: EventName
    url: str
    status: DeliveryState
    attempts: list[AttemptOut]
    next_attempt_at: MomentOut | None
    resend_of: str | None
    livemode: bool
    created_at: MomentOut

    @classmethod
    def of(cls, delivery: Delivery, attempts: Sequence[DeliveryAttempt]) -> Self:
        return cls(
            delivery_id=delivery.id,
            job_id=delivery.job_id,
            event=delivery.event,
            url=delivery.url,
            status=STATES[delivery.status],
            attempts=[AttemptOut.model_validate(one, from_attributes=True) for one in attempts],
            next_attempt_at=delivery.next_attempt_at,
            resend_of=delivery.resend_of,
            livemode=delivery.livemode,
            created_at=delivery.created_at,
        )


class DeliveriesPage(Response):
    """Deliveries, newest first; `nextCursor` is null on the last page (CV-13)."""

    data: list[DeliveryOut]
    next_cursor: str | None


ReplayId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")]


class ReplayIn(Request):
    """What to send again: events from `since` on and before `until`, oldest first.

    `status` is `failed` (what never arrived), `delivered`, or `any`. With a `replayId` of your own
    the same request may be sent any number of times: nothing is sent twice for it.
    """

    since: MomentIn
    until: MomentIn | None = None
    event: EventName | None = None
    status: Literal["failed", "delivered", "any"] = "failed"
    replay_id: ReplayId | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 200
    cursor: Annotated[str, Field(max_length=200)] | None = None


class ReplayOut(Response):
    """One page of a replay; send `nextCursor` with the same `replayId` for the next, until null."""

    replay_id: str
    since: MomentOut
    until: MomentOut
    deliveries: list[str]
    next_cursor: str | None


class StreamedDelivery(Response):
    """The data of a `delivery` event: the request as a receiver would get it.

    `body` is the exact text that the signature in `headers` is over: send its UTF-8 bytes on as
    they are. `url` is null where the job has no address that wants this event.
    """

    delivery_id: str
    job_id: str
    event: EventName
    method: Literal["POST"]
    url: str | None
    headers: dict[str, str]
    body: str


class WebhookSettings(Response):
    """What jobs get that name none of their own (WH-13), such as those of invites.

    `events` null: all of them.
    """

    version: Literal[1, 2]
    on_finalize: str | None
    events: list[EventName] | None

    @classmethod
    def of(cls, team: Team) -> WebhookSettings:
        return cls(
            version=1 if team.webhook_version == 1 else 2,
            on_finalize=team.webhook_url,
            events=[EventName(name) for name in team.webhook_events]
            if team.webhook_events is not None
            else None,
        )


class WebhookSettingsIn(Request):
    """What is not sent stays as it is; null clears it."""

    version: Literal[1, 2] | None = None
    on_finalize: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    events: list[EventName] | None = None

    @field_validator("version")
    @classmethod
    def _a_version(cls, value: int | None) -> int | None:
        if value is None:
            raise ValueError("version is 1 or 2; leave it out to keep what is set.")
        return value

"""The ledger of webhooks: look up, send again, replay, listen (API-34 to API-36, WH-13)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from api.dependencies import CallerDep, MemberDep, ServicesDep
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.schemas.deliveries import (
    STATUSES,
    DeliveriesPage,
    DeliveryOut,
    DeliveryState,
    ReplayIn,
    ReplayOut,
    StreamedDelivery,
    WebhookSettings,
    WebhookSettingsIn,
)
from api.schemas.errors import ErrorOut
from api.schemas.streams import EVENT
from api.webhook_stream import webhook_stream
from core.accounts.models import Team
from core.errors import BadInput, Issue
from core.ids import new_id, parse_id
from core.network.addresses import check_url
from core.webhooks import ledger
from core.webhooks.events import EventName
from core.webhooks.models import Delivery
from core.webhooks.stream import StreamCursor

Answers = dict[int | str, dict[str, Any]]
NOT_FOUND: Final[Answers] = {404: {"model": ErrorOut}}
DeliveryId = Annotated[str, Path(alias="deliveryId", description="`dlv_…`")]

router = APIRouter(
    prefix="/api/v1",
    tags=["webhooks"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 403, 429, 500, 503)},
)


@router.get("/webhooks/deliveries", operation_id="listDeliveries")
async def list_(
    member: MemberDep,
    services: ServicesDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    job_id: Annotated[str | None, Query(alias="jobId", max_length=64)] = None,
    event: EventName | None = None,
    status: Annotated[DeliveryState | None, Query()] = None,
) -> DeliveriesPage:
    """Deliveries, newest first, each with its attempts."""
    wanted = ledger.DeliveryFilter(
        # What is no id has no deliveries, and does not reach the database: it may be any text.
        job_id=(parse_id("job", job_id) or "") if job_id is not None else None,
        event=event,
        status=STATUSES[status] if status is not None else None,
    )
    before = decode_cursor("dlv", cursor)
    async with services.database.begin() as session:
        found = await ledger.list_deliveries(
            session, member.team_id, member.livemode, wanted, limit=limit + 1, before_id=before
        )
        page = found[:limit]
        shown = await _shown(session, page)
    more = encode_cursor(page[-1].id) if len(found) > limit else None
    return DeliveriesPage(data=shown, next_cursor=more)


@router.get("/webhooks/deliveries/{deliveryId}", operation_id="getDelivery", responses=NOT_FOUND)
async def get(delivery_id: DeliveryId, member: MemberDep, services: ServicesDep) -> DeliveryOut:
    """One delivery with its attempts."""
    async with services.database.begin() as session:
        found = await ledger.owned_delivery(session, member.team_id, member.livemode, delivery_id)
        (shown,) = await _shown(session, [found])
    return shown


@router.post(
    "/webhooks/deliveries/{deliveryId}/resend",
    operation_id="resendDelivery",
    status_code=202,
    responses=NOT_FOUND,
)
async def resend(delivery_id: DeliveryId, member: MemberDep, services: ServicesDep) -> DeliveryOut:
    """Send the same event again, as a new delivery; it leaves within ten seconds."""
    async with services.database.begin() as session:
        found = await ledger.owned_delivery(session, member.team_id, member.livemode, delivery_id)
        again = await ledger.resend(session, found, now=services.clock.now())
    return DeliveryOut.of(again, [])


@router.post("/webhooks/replay", operation_id="replayWebhooks", status_code=202)
async def replay(body: ReplayIn, member: MemberDep, services: ServicesDep) -> ReplayOut:
    """Send again what was emitted since a time: by default what never arrived."""
    now = services.clock.now()
    until = _until(body, now)
    replay_id = body.replay_id or new_id("rpl", now)
    wanted = ledger.Replay(
        id=replay_id,
        since=body.since,
        until=until,
        event=body.event,
        status=None if body.status == "any" else STATUSES[body.status],
    )
    async with services.database.begin() as session:
        made, last = await ledger.replay(
            session,
            member.team_id,
            member.livemode,
            wanted,
            limit=body.limit,
            after_id=decode_cursor("dlv", body.cursor),
            now=now,
        )
    return ReplayOut(
        replay_id=replay_id,
        since=body.since,
        until=until,
        deliveries=list(made),
        next_cursor=encode_cursor(last) if last is not None else None,
    )


@router.get(
    "/webhooks/stream",
    operation_id="streamWebhooks",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`ready` first, then a `delivery` for each event of the team's jobs, "
            "also of jobs without an address: `{deliveryId, jobId, event, method, url, headers, "
            "body}`. `Last-Event-ID` takes up where a stream broke off.",
            "content": {"text/event-stream": {"schema": EVENT}},
        }
    },
)
async def listen(
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """The team's webhooks as they are emitted, signed, for forwarding to where no address leads."""
    items = webhook_stream(
        services,
        caller,
        request.headers.get("authorization"),
        StreamCursor.parse(last_event_id),
    )
    return StreamingResponse(
        _messages(items, caller.livemode),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@router.get("/settings/webhooks", operation_id="getWebhookSettings")
async def settings(member: MemberDep, services: ServicesDep) -> WebhookSettings:
    """What the team's webhooks are like where a job does not say."""
    async with services.database.begin() as session:
        return WebhookSettings.of(await session.get_one(Team, member.team_id))


@router.put("/settings/webhooks", operation_id="setWebhookSettings")
async def change_settings(
    body: WebhookSettingsIn, member: MemberDep, services: ServicesDep
) -> WebhookSettings:
    """Choose address, events and version for jobs that name no address; others keep theirs."""
    if body.on_finalize is not None:
        await check_url(
            body.on_finalize,
            services.settings.trusted_origins,
            path=("onFinalize",),
            resolver=services.resolver,
        )
    async with services.database.begin() as session:
        team = await session.get_one(Team, member.team_id, with_for_update=True)
        if body.version is not None:
            team.webhook_version = body.version
        if "on_finalize" in body.model_fields_set:
            team.webhook_url = body.on_finalize
        if "events" in body.model_fields_set:
            team.webhook_events = list(body.events) if body.events is not None else None
        return WebhookSettings.of(team)


def _until(body: ReplayIn, now: datetime) -> datetime:
    until = min(body.until, now) if body.until is not None else now
    if body.since >= until:
        message = "since must lie in the past, and before until."
        raise BadInput(message, [Issue(("since",), "empty_span", message)])
    return until


async def _shown(session: AsyncSession, page: Sequence[Delivery]) -> list[DeliveryOut]:
    attempts = await ledger.attempts_of(session, page)
    return [DeliveryOut.of(one, attempts.get(one.id, ())) for one in page]


async def _messages(
    items: AsyncIterator[tuple[StreamCursor, StreamedDelivery | None] | None], livemode: bool
) -> AsyncIterator[str]:
    async for item in items:
        if item is None:
            # A comment keeps proxies from closing a quiet stream.
            yield ": still here\n\n"
            continue
        place, delivery = item
        data = delivery.model_dump(by_alias=True) if delivery else {"livemode": livemode}
        # Escaped to ASCII: some clients end a line at U+2028, and bodies may hold it.
        text = json.dumps(data, separators=(",", ":"))
        yield f"id: {place}\nevent: {'delivery' if delivery else 'ready'}\ndata: {text}\n\n"

"""A team's webhooks as they are emitted, for `webhooks listen` (API-36, WH-35)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from api.schemas.deliveries import StreamedDelivery
from api.services import Services
from core.accounts.models import Team
from core.accounts.service import Caller, authenticate, webhook_secrets
from core.errors import Unauthorized
from core.webhooks import stream
from core.webhooks.messages import message
from core.webhooks.models import Delivery
from core.webhooks.stream import StreamCursor

# Notifications can be lost with a connection, so the ledger is looked at anyway.
LOOK_SECONDS: Final = 5
# An older transaction is about to end; nothing tells when.
SOON_SECONDS: Final = 0.05
# A stream ends then; clients come back by themselves, with the last id they saw.
LIFETIME_SECONDS: Final = 3600


async def webhook_stream(
    services: Services, caller: Caller, bearer: str | None, seen: StreamCursor | None
) -> AsyncIterator[tuple[StreamCursor, StreamedDelivery | None] | None]:
    """What came after `seen`, or comes from now on; None when all is quiet.

    The first item has no delivery and says where the stream begins. It ends when the key is
    revoked.

    Args:
        bearer: what the caller was known by, to be asked again.
    """
    deadline = services.clock.monotonic() + LIFETIME_SECONDS
    with services.delivery_feed.watch(caller.team_id) as changed:
        if seen is None:
            async with services.database.begin() as session:
                seen = await stream.newest(session)
        yield seen, None
        while services.clock.monotonic() < deadline:
            changed.clear()
            try:
                rows, more = await _look(services, caller, bearer, seen)
            except Unauthorized:
                return
            for seen, delivery in rows:
                yield seen, delivery
            try:
                wait = SOON_SECONDS if more else LOOK_SECONDS
                await asyncio.wait_for(changed.wait(), wait)
            except TimeoutError:
                if not more:
                    yield None


async def _look(
    services: Services, caller: Caller, bearer: str | None, seen: StreamCursor
) -> tuple[list[tuple[StreamCursor, StreamedDelivery]], bool]:
    async with services.database.begin() as session:
        await authenticate(session, bearer, now=services.clock.now())
        page = await stream.after(session, caller.team_id, caller.livemode, seen)
        team = await session.get_one(Team, caller.team_id)
    return [(place, _streamed(services, team, row)) for place, row in page.deliveries], page.more


def _streamed(services: Services, team: Team, delivery: Delivery) -> StreamedDelivery:
    """Signed now, as a first attempt would be."""
    sent = message(
        delivery,
        webhook_secrets(team, services.box, now=services.clock.now()),
        attempt=1,
        legacy_fields=services.settings.webhooks.legacy_fields,
    )
    return StreamedDelivery(
        delivery_id=delivery.id,
        job_id=delivery.job_id,
        event=delivery.event,
        method="POST",
        url=delivery.url or None,
        headers=dict(sent.headers),
        body=sent.body.decode(),
    )

"""Push channels of a connection: opened, renewed by its syncs, and ended (API-40).

A message by one says nothing but that a sync is due; without channels the next one is soon enough.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.calendars.base import Channel, Source
from core.calendars.models import CalendarChannel, CalendarConnection, State
from core.calendars.providers import Providers
from core.clock import Clock
from core.database import Database
from core.errors import MeetbotError
from core.settings import Settings

log = logging.getLogger(__name__)

RENEWED_BEFORE: Final = timedelta(days=1)
ADDRESS: Final = "/api/v1/calendar/push/{provider}"


@dataclass(frozen=True)
class Channels:
    """What channels need besides the connection."""

    database: Database
    settings: Settings
    clock: Clock
    providers: Providers

    async def renew(self, connection: CalendarConnection, source: Source) -> None:
        """Open one where there is none that lasts; a provider that refuses is asked again later."""
        base = self.settings.api.public_url.rstrip("/")
        watching = self.providers.watching(connection.provider)
        if watching is None or not self.settings.calendars.push or not base.startswith("https://"):
            return
        known = await self._known(connection)
        soon = self.clock.now() + RENEWED_BEFORE
        if any(one.expires_at > soon for one in known):
            return
        channel_id, token = str(uuid.uuid4()), secrets.token_urlsafe(32)
        address = f"{base}{ADDRESS.format(provider=connection.provider)}?channel={channel_id}"
        try:
            made = await watching.watch(source, channel_id, token, address)
        except MeetbotError as error:
            log.warning("%s has no push channel: %s", connection.id, error.message)
            return
        async with self.database.begin() as session:
            session.add(
                CalendarChannel(
                    id=made.id,
                    connection_id=connection.id,
                    resource_id=made.resource_id,
                    token_hash=token_hash(token),
                    expires_at=made.expires_at,
                )
            )
        await self._close(connection, source, known)

    async def end(self, connection: CalendarConnection, source: Source | None) -> None:
        """Close all; without a source they are only forgotten, and end by themselves."""
        await self._close(connection, source, await self._known(connection))

    async def _known(self, connection: CalendarConnection) -> Sequence[CalendarChannel]:
        statement = select(CalendarChannel).where(CalendarChannel.connection_id == connection.id)
        async with self.database.begin() as session:
            return (await session.exec(statement)).all()

    async def _close(
        self,
        connection: CalendarConnection,
        source: Source | None,
        channels: Sequence[CalendarChannel],
    ) -> None:
        watching = self.providers.watching(connection.provider)
        for one in channels:
            if watching is not None and source is not None:
                try:
                    await watching.unwatch(source, Channel(one.id, one.resource_id, one.expires_at))
                except MeetbotError as error:
                    log.info("a channel of %s ends by itself: %s", connection.id, error.message)
            async with self.database.begin() as session:
                row = await session.get(CalendarChannel, one.id)
                if row is not None:
                    await session.delete(row)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


async def told(session: AsyncSession, channel_id: str, token: str, *, now: datetime) -> bool:
    """A provider says that a calendar has changed: have it synced. False: by no channel of ours."""
    channel = await session.get(CalendarChannel, channel_id)
    if channel is None or not hmac.compare_digest(channel.token_hash, token_hash(token)):
        return False
    connection = await session.get(CalendarConnection, channel.connection_id, with_for_update=True)
    if connection is not None and connection.state is State.ACTIVE:
        connection.asked_at = now
    return True

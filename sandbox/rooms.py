"""All rooms of this server: made, found, swept."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from core.clock import Clock
from core.errors import NotFound, RateLimited
from sandbox.messages import Beat
from sandbox.room import Room
from sandbox.schemas import RoomOptions, RoomState
from sandbox.script import library, read_script
from sandbox.video import camera

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1
# How long the owner of an ended room may still read it.
KEEP_SECONDS: Final = 3_600
KEEP_LIMIT: Final = 500
RETRY_AFTER_SECONDS: Final = 30


class Rooms:
    """`cache` keeps the encoded cameras; at most `limit` rooms are open at a time."""

    def __init__(self, clock: Clock, cache: Path, limit: int) -> None:
        self._clock = clock
        self._cache = cache
        self._limit = limit
        self._rooms: dict[str, Room] = {}
        self._ended: dict[str, float] = {}

    async def warm_up(self) -> None:
        """Encode the cameras ahead of the first room."""
        for speaker in library().speakers.values():
            await camera(speaker, self._cache)

    async def create(self, options: RoomOptions) -> Room:
        """A new room.

        Raises:
            BadInput: no such script.
            RateLimited: too many rooms are open.
        """
        if len(self._rooms) - len(self._ended) >= self._limit:
            raise RateLimited(
                f"{self._limit} rooms are open, which is the limit; close one or wait.",
                RETRY_AFTER_SECONDS,
            )
        script = await read_script(options.script) if options.script else None
        room = Room(options, self._clock, script, lambda who: camera(who, self._cache))
        self._rooms[room.doors.room_id] = room
        return room

    def find(self, room_id: str) -> Room:
        """Raises NotFound when there is no such room (any more)."""
        room = self._rooms.get(room_id)
        if room is None:
            raise NotFound(f"There is no room {room_id!r}; rooms go away when their time is over.")
        return room

    async def delete(self, room_id: str) -> None:
        """End the room and forget it. Raises NotFound."""
        room = self.find(room_id)
        del self._rooms[room_id]
        self._ended.pop(room_id, None)
        await room.close()

    async def sweep(self) -> None:
        """End what is due, release what ended, forget what ended long ago."""
        now = self._clock.monotonic()
        for room_id, room in list(self._rooms.items()):
            room.beat(Beat())
            room.end_if_due()
            if room.state is RoomState.ENDED and room_id not in self._ended:
                self._ended[room_id] = now
                await room.close()
        old = [key for key, since in self._ended.items() if now - since > KEEP_SECONDS]
        for room_id in old + list(self._ended)[: max(0, len(self._ended) - KEEP_LIMIT)]:
            self._ended.pop(room_id, None)
            self._rooms.pop(room_id, None)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("sweeping the rooms failed; it is tried again")
            await self._clock.sleep(SWEEP_SECONDS)

    async def close(self) -> None:
        rooms = list(self._rooms.values())
        self._rooms.clear()
        self._ended.clear()
        await asyncio.gather(*(room.close() for room in rooms))

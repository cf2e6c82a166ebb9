"""The tracks of scripted peers: packets encoded beforehand, handed out at their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import Packet
from av.stream import Stream

from core.clock import Clock
from sandbox.script import FRAME_SECONDS, QUIET_DBOV, SILENCE
from sandbox.video import FPS, Picture

OPUS_TIME_BASE: Final = Fraction(1, 48_000)
OPUS_SAMPLES: Final = 960
VIDEO_TIME_BASE: Final = Fraction(1, 90_000)
# Later than this, packets are left out instead of sent in a burst, which no client does.
LATEST_SECONDS: Final = 0.4


class FrameClock:
    """Counts the 20 ms frames of a room, so that all peers and viewers keep one time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin = clock.monotonic()

    def now(self) -> int:
        """The frame that is due now."""
        return int((self._clock.monotonic() - self._origin) / FRAME_SECONDS)

    def late(self, frame: int) -> float:
        """Seconds since `frame` was due; negative when it is not yet."""
        return self._clock.monotonic() - self._origin - frame * FRAME_SECONDS

    async def until(self, frame: int) -> None:
        wait = -self.late(frame)
        if wait > 0:
            await self._clock.sleep(wait)


@dataclass(frozen=True)
class Sound:
    """What to send in one frame; no payload: nothing, because of discontinuous transmission."""

    payload: bytes | None = SILENCE
    level: int = QUIET_DBOV


class AudioTrack(MediaStreamTrack):
    """`sound_at(frame)` is called just before each frame is sent."""

    kind = "audio"

    def __init__(self, frames: FrameClock, sound_at: Callable[[int], Sound]) -> None:
        super().__init__()
        self.level = QUIET_DBOV
        self._frames = frames
        self._sound_at = sound_at
        self._next: int | None = None

    async def recv(self) -> Packet[Stream]:
        """The next Opus packet, at its time.

        Raises:
            MediaStreamError: the track was stopped.
        """
        while self.readyState == "live":
            frame = self._frames.now() + 1 if self._next is None else self._next
            if self._frames.late(frame) > LATEST_SECONDS:
                frame = self._frames.now()
            await self._frames.until(frame)
            self._next = frame + 1
            sound = self._sound_at(frame)
            if sound.payload is not None:
                self.level = sound.level
                packet = Packet(sound.payload)
                packet.pts = frame * OPUS_SAMPLES
                packet.time_base = OPUS_TIME_BASE
                return packet
        raise MediaStreamError


class VideoTrack(MediaStreamTrack):
    """Repeats `pictures`, which begin with a key frame; sends nothing while not wanted."""

    kind = "video"

    def __init__(self, pictures: Sequence[Picture], clock: Clock) -> None:
        super().__init__()
        self.wanted = asyncio.Event()
        self.wanted.set()
        self.key_frame_requests = 0
        self._pictures = pictures
        self._keys = [index for index, picture in enumerate(pictures) if picture.key]
        self._clock = clock
        self._origin: float | None = None
        self._count = 0
        self._index = 0

    def key_frame(self) -> None:
        """The receiver lost the picture: go on with the next key frame."""
        self.key_frame_requests += 1
        self._to_next_key()

    def _to_next_key(self) -> None:
        self._index = next((key for key in self._keys if key >= self._index), 0)

    async def recv(self) -> Packet[Stream]:
        """The next VP8 frame, at its time.

        Raises:
            MediaStreamError: the track was stopped.
        """
        if not self.wanted.is_set():
            await self.wanted.wait()
            self._to_next_key()
        if self.readyState != "live":
            raise MediaStreamError
        now = self._clock.monotonic()
        if self._origin is None:
            self._origin = now
        due = self._origin + self._count / FPS
        if now - due > LATEST_SECONDS:
            self._count = int((now - self._origin) * FPS)
        elif due > now:
            await self._clock.sleep(due - now)
        packet = Packet(self._pictures[self._index].payload)
        packet.pts = self._count * 90_000 // FPS
        packet.time_base = VIDEO_TIME_BASE
        self._count += 1
        self._index = (self._index + 1) % len(self._pictures)
        return packet

    def stop(self) -> None:
        super().stop()
        self.wanted.set()

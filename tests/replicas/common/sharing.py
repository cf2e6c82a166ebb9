"""Somebody shares a screen: a picture of one colour, over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av.video.codeccontext import VideoCodecContext

from core.clock import SystemClock
from sandbox.peer import _answer_key_frame_requests, _codecs
from sandbox.tracks import VideoTrack
from sandbox.video import FPS, Picture
from tests.replicas.common.rooms import ReplicaRoom

WIDTH, HEIGHT = 960, 540
# Y, U and V of an orange.
COLOUR = (150, 60, 180)
CONNECT_SECONDS = 20


class SharedScreen:
    """Shares from entering the block to leaving it.

    Args:
        tell: what the platform's servers say about it over the same connection.
    """

    def __init__(
        self,
        room: ReplicaRoom,
        person_id: str,
        stream_id: str,
        tell: Callable[[RTCPeerConnection, str], None] | None = None,
    ) -> None:
        self._room = room
        self._shared = {"type": "share", "id": person_id, "stream": stream_id}
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if tell is not None:
            tell(self._pc, person_id)
        self._answered: asyncio.Future[dict[str, Any]] = asyncio.Future()
        self.track = VideoTrack(pictures(), SystemClock())
        transceiver = self._pc.addTransceiver(self.track, direction="sendonly")
        transceiver.setCodecPreferences(_codecs("video", ("video/VP8",)))
        transceiver.sender._stream_id = stream_id
        _answer_key_frame_requests(transceiver.sender, self.track)

    async def __aenter__(self) -> Self:
        self._room.signal = self._hear
        await self._pc.setLocalDescription(await self._pc.createOffer())
        sdp = self._pc.localDescription.sdp
        self._room.tell({**self._shared, "on": True})
        self._room.tell({"type": "offer", "connection": "screen", "peer": "screen", "sdp": sdp})
        answer = await asyncio.wait_for(self._answered, CONNECT_SECONDS)
        await self._pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._room.tell({**self._shared, "on": False})
        self._room.tell({"type": "hang-up", "connection": "screen"})
        await self._pc.close()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["connection"] == "screen" and not self._answered.done():
            self._answered.set_result(message["description"])


@lru_cache(maxsize=1)
def pictures() -> tuple[Picture, ...]:
    """Two seconds, beginning with a key frame."""
    context = av.CodecContext.create("libvpx", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.gop_size = Fraction(1, FPS), 12
    context.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    planes = [
        np.full((HEIGHT, WIDTH), COLOUR[0], np.uint8),
        np.full((HEIGHT // 4, WIDTH), COLOUR[1], np.uint8),
        np.full((HEIGHT // 4, WIDTH), COLOUR[2], np.uint8),
    ]
    made: list[Picture] = []
    for number in range(2 * FPS):
        frame = av.VideoFrame.from_ndarray(np.vstack(planes), format="yuv420p")
        frame.pts = number
        made += [Picture(bytes(one), one.is_keyframe) for one in context.encode(frame)]
    made += [Picture(bytes(one), one.is_keyframe) for one in context.encode(None)]
    return tuple(made)

"""One connection of a scripted peer to one browser, by aiortc; it sends and never receives."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import aioice.ice
from aioice.ice import get_host_addresses
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.codecs import get_capabilities
from aiortc.exceptions import InvalidStateError
from aiortc.sdp import candidate_from_sdp

from sandbox.messages import Signal
from sandbox.tracks import AudioTrack, VideoTrack

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 20
CLOSE_SECONDS: Final = 5
CANDIDATE_LIMIT: Final = 64


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice leaves loopback out; on a machine without any network there is nothing else."""
    return get_host_addresses(use_ipv4, use_ipv6) or ["127.0.0.1"]


aioice.ice.get_host_addresses = _host_addresses


class Link:
    """Offers audio (and video) to one browser and sends until closed.

    `send` passes a signal to the browser. The peer always makes the offer: aiortc cannot roll
    one back, and the browser has nothing to send to a script.
    """

    def __init__(
        self,
        peer_id: str,
        audio: AudioTrack,
        video: VideoTrack | None,
        send: Callable[[Signal], None],
    ) -> None:
        self.connected = asyncio.Event()
        self.failed = asyncio.Event()
        self.video = video
        self._peer_id = peer_id
        self._send = send
        self._id = secrets.token_hex(4)
        self._candidates = 0
        # No STUN servers: a sandbox talks to nobody but its guests.
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._pc.on("connectionstatechange", self._changed)
        _announce_levels(self._add(audio, "audio/opus"), audio)
        if video is not None:
            _answer_key_frame_requests(self._add(video, "video/VP8", "video/rtx"), video)

    def _add(self, track: AudioTrack | VideoTrack, *codecs: str) -> RTCRtpSender:
        transceiver = self._pc.addTransceiver(track, direction="sendonly")
        transceiver.setCodecPreferences(_codecs(track.kind, codecs))
        return transceiver.sender

    def _changed(self) -> None:
        if self._pc.connectionState == "connected":
            self.connected.set()
        elif self._pc.connectionState in {"failed", "closed"}:
            self.failed.set()

    async def offer(self) -> None:
        await self._pc.setLocalDescription(await self._pc.createOffer())
        local = self._pc.localDescription
        self._send(
            Signal(
                peer=self._peer_id,
                connection=self._id,
                description={"type": local.type, "sdp": local.sdp},
            )
        )

    async def hear(self, signal: Signal) -> None:
        """Take the browser's answer or one of its candidates; nonsense is ignored with a log."""
        if signal.connection != self._id:
            return
        try:
            if signal.description is not None:
                await self._answered(signal.description)
            elif signal.candidate is not None:
                await self._candidate(signal.candidate)
        except (ValueError, KeyError, AttributeError, AssertionError, InvalidStateError) as error:
            log.warning("a browser sent a signal that makes no sense: %s", error)

    async def _answered(self, description: dict[str, Any]) -> None:
        if description.get("type") != "answer" or self._pc.signalingState != "have-local-offer":
            return
        answer = RTCSessionDescription(sdp=str(description["sdp"]), type="answer")
        await self._pc.setRemoteDescription(answer)

    async def _candidate(self, candidate: dict[str, Any]) -> None:
        """Add it, unless it hides its address: the browser's own checks reach us anyway."""
        text = str(candidate.get("candidate", "")).removeprefix("candidate:")
        self._candidates += 1
        if not text or ".local" in text or self._candidates > CANDIDATE_LIMIT:
            return
        parsed = candidate_from_sdp(text)
        if parsed.protocol.lower() != "udp":
            return
        parsed.sdpMid = candidate.get("sdpMid")
        parsed.sdpMLineIndex = candidate.get("sdpMLineIndex")
        await self._pc.addIceCandidate(parsed)

    async def wait_connected(self) -> bool:
        """True once media flows; False when that failed or took too long."""
        waiting = [asyncio.create_task(event.wait()) for event in (self.connected, self.failed)]
        try:
            await asyncio.wait(
                waiting, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in waiting:
                task.cancel()
        return self.connected.is_set()

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pc.close(), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("a connection of %s did not close in time", self._peer_id)


def _codecs(kind: str, wanted: Sequence[str]) -> list[RTCRtpCodecCapability]:
    return [codec for codec in get_capabilities(kind).codecs if codec.mimeType in wanted]


def _announce_levels(sender: RTCRtpSender, track: AudioTrack) -> None:
    """Put the audio level of each packet into its header, as browsers do (RFC 6464).

    aiortc fills the level in only for what it encodes itself, so the step that makes frames out
    of packets is wrapped; tests/sandbox/test_peer.py fails if a new version moves it.
    """
    make = sender._next_encoded_frame

    async def with_level(codec: Any) -> Any:
        frame = await make(codec)
        if frame is not None:
            frame.audio_level = track.level
        return frame

    sender._next_encoded_frame = with_level  # type: ignore[method-assign]


def _answer_key_frame_requests(sender: RTCRtpSender, track: VideoTrack) -> None:
    """aiortc would ask an encoder for a key frame; ours are on disk."""
    sender._send_keyframe = track.key_frame  # type: ignore[method-assign]

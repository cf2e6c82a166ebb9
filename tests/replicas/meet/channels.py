"""What Google Meet's servers tell a client beside the media: who is there, whose each source is,
and captions. As on the platform, sources are told late, and only the full list says who left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from aiortc import RTCDataChannel, RTCPeerConnection

from tests.replicas.common.mixing import SEED
from tests.replicas.meet import wire

# After a client has come, frames: how late the sources of people may be told.
LATE_FRAMES = (20, 120)
SCREEN = 700_041


class Voice(Protocol):
    """A person and the number of their voice."""

    id: str
    source: int


class Channels:
    """`collections` is the server's; a channel of captions is the client's own.

    Args:
        after: runs a call after so many frames of 20 ms.
    """

    def __init__(
        self,
        pc: RTCPeerConnection,
        people: Sequence[Mapping[str, Any]],
        voices: Sequence[Voice],
        after: Callable[[int, Callable[[], None]], None],
        seed: int = SEED,
    ) -> None:
        self._people = people
        self._voices = voices
        self._after = after
        self._draw = random.Random(seed)  # noqa: S311 - a script
        self._captions: RTCDataChannel | None = None
        self._versions: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._collections = pc.createDataChannel("collections")
        self._collections.on("open", self._opened)
        pc.on("datachannel", self._offered)

    def _opened(self) -> None:
        self._collections.send(wire.roster_event(_listed(self._people)))
        for voice in self._voices:
            told = wire.outputs_event([(voice.id, voice.source, False)])
            self._after(self._draw.randint(*LATE_FRAMES), partial(self._tell, told))

    def _tell(self, message: bytes) -> None:
        if self._collections.readyState == "open":
            self._collections.send(message)

    def _offered(self, channel: RTCDataChannel) -> None:
        if channel.label == "captions":
            self._captions = channel

    def came(self, person: Mapping[str, Any]) -> None:
        """Somebody comes: this is told at once, for one person."""
        self._tell(wire.roster_event(_listed([person])))

    def caption(self, caption_id: str, device: str, text: str, *, final: bool) -> None:
        """Each version of a caption replaces the one before; some come twice, or too late."""
        if self._captions is None or self._captions.readyState != "open":
            return
        number = self._ids.setdefault(caption_id, 2**40 + len(self._ids))
        version = self._versions[caption_id] = self._versions.get(caption_id, 0) + 1
        told = wire.caption_event(device, number, version, text, final=final)
        self._captions.send(told)
        if self._draw.random() < 0.3:
            self._captions.send(wire.caption_event(device, number, version - 1, "", final=False))


def share(pc: RTCPeerConnection, person: str) -> None:
    """Somebody shares a screen: to Google Meet another device, whose parent is the person's."""
    device = f"screen-of-{person}"
    told = (
        wire.roster_event([wire.Somebody(device, "Presentation", parent=person)]),
        wire.outputs_event([(device, SCREEN, True)]),
    )
    channel = pc.createDataChannel("collections")

    def opened() -> None:
        for one in told:
            channel.send(one)

    channel.on("open", opened)


def screen_stream(_: str) -> str:
    """What the stream of a shared screen's picture is called."""
    return f"9{SCREEN}"


def everybody(people: Sequence[Mapping[str, Any]], guest: str) -> bytes:
    """The full list that a client asks for, the guest and a shared screen included."""
    screen = (
        wire.Somebody("screen", "Presentation", parent=str(people[0]["id"])) if people else None
    )
    bot = wire.Somebody("me", guest, is_self=True)
    return wire.everybody([*_listed(people), bot, *([screen] if screen else [])])


def _listed(people: Sequence[Mapping[str, Any]]) -> list[wire.Somebody]:
    return [
        wire.Somebody(str(one["id"]), str(one["name"]), host=bool(one["host"])) for one in people
    ]

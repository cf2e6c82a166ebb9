"""What a bot says and shows in a meeting: media handed to the page's own devices (API-14).

The page part, `page/output.js`, is the same for all platforms; a driver presses the buttons.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from bot.browser.bridge import Bridge, PageError
from bot.platforms.driver import PAGE_DIR
from bot.platforms.media import Media
from core.errors import BadInput

OUTPUT_PART: Final = PAGE_DIR / "output.js"
OutputKind = Literal["audio", "image", "video"]
# Base64 of this fits a message of the debugger with room to spare.
PART_BYTES: Final = 512 * 1024
LOAD_TIMEOUT_SECONDS: Final = 15.0


class OutputEnded(BaseModel):
    """The page says that something has played to its end (kind `output-ended`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: OutputKind
    number: int


class OutputMedia:
    """One page's virtual microphone, camera and screen; one medium at a time in each.

    `ended` is set when something has played to its end and its device is still on.
    """

    def __init__(self, bridge: Bridge) -> None:
        self.ended = asyncio.Event()
        self._bridge = bridge
        self._loaded: dict[OutputKind, int] = {}
        self._over: set[OutputKind] = set()
        bridge.on("output-ended", OutputEnded, self._on_ended)

    @property
    def over(self) -> tuple[OutputKind, ...]:
        """What has played to its end."""
        return tuple(self._over)

    @property
    def loaded(self) -> tuple[OutputKind, ...]:
        """What is being said or shown, or was to its end."""
        return tuple(self._loaded)

    async def hand_over(self, media: Media) -> None:
        """Give its bytes to the page, for the `load` that follows."""
        for number, part in enumerate(_parts(media.data)):
            args = {"first": number == 0, "data": base64.b64encode(part).decode()}
            await self._bridge.call("output.part", args)

    async def load(self, kind: OutputKind, media: Media, *, loop: bool) -> None:
        """Make what was handed over ready, in place of what was there; it does not play yet.

        The page has its device from the beginning, still silent or black.

        Raises:
            BadInput: the browser cannot play it.
        """
        args = {"kind": kind, "mimeType": media.mime_type, "loop": loop}
        try:
            loaded = await self._bridge.call("output.load", args, timeout=LOAD_TIMEOUT_SECONDS)
        except PageError as error:
            raise BadInput(
                f"The bot's browser cannot use this {kind} ({media.mime_type}): {error.message} "
                "Send WAV, MP3, Ogg or MP4 audio, a PNG or JPEG image, or an MP4 or WebM video."
            ) from error
        self._loaded[kind] = int(loaded)
        self._forget(kind)

    async def play(self, kind: OutputKind) -> None:
        """Begin; returns when the page has begun."""
        await self._bridge.call("output.play", {"kind": kind})

    async def drop(self, *kinds: OutputKind) -> None:
        """Nothing more of these."""
        for kind in kinds:
            self._loaded.pop(kind, None)
            self._forget(kind)
        await self._bridge.call("output.drop", {"kinds": list(kinds)})

    def _forget(self, kind: OutputKind) -> None:
        self._over.discard(kind)
        if not self._over:
            self.ended.clear()

    def _on_ended(self, message: OutputEnded) -> None:
        if self._loaded.get(message.kind) == message.number:
            self._over.add(message.kind)
            self.ended.set()


def _parts(data: bytes) -> Iterator[bytes]:
    for start in range(0, max(1, len(data)), PART_BYTES):
        yield data[start : start + PART_BYTES]

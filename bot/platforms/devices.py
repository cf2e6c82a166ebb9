"""A bot's microphone, camera and screen: media handed to the page, and the page's buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from bot.platforms.media import Media
from bot.platforms.output import OutputKind, OutputMedia

# Brings a device into the wanted state; returns when the page says that it is on.
Switch = Callable[[OutputKind, bool], Awaitable[None]]


class Devices:
    """What all rooms do with output media; `switch` presses the platform's own buttons."""

    def __init__(self, output: OutputMedia, switch: Switch) -> None:
        self._output = output
        self._switch = switch

    async def put_out(self, kind: OutputKind, media: Media, *, loop: bool) -> None:
        """Say or show it; returns when it has begun.

        Raises:
            BadInput: the browser cannot play it.
        """
        if kind == "video":
            # A shared screen shows what it was begun with.
            await self._switch("video", False)
        await self._output.hand_over(media)
        loading = self._output.load(kind, media, loop=loop)
        if kind == "video":
            # Nothing can be shared before there is a picture.
            await loading
            await self._switch("video", True)
        else:
            await self._while_switching_on(kind, loading)
        await self._output.play(kind)

    async def stop(self) -> None:
        """Everything off; nothing happens when it is."""
        await self._switch_off(self._output.loaded)

    async def until_end(self) -> None:
        await self._output.ended.wait()

    async def tidy(self) -> None:
        """Off with what has played to its end."""
        await self._switch_off(self._output.over)

    async def _while_switching_on(
        self, kind: OutputKind, loading: Coroutine[None, None, None]
    ) -> None:
        """Microphone or camera are agreed with the others while their media is decoded."""
        was_on = kind in self._output.loaded
        # In this order: the page has the device as soon as it hears of the media.
        loaded, switched = await asyncio.gather(
            loading, self._switch(kind, True), return_exceptions=True
        )
        if isinstance(loaded, BaseException):
            if not was_on:
                await self._switch(kind, False)
            raise loaded
        if isinstance(switched, BaseException):
            raise switched

    async def _switch_off(self, kinds: tuple[OutputKind, ...]) -> None:
        try:
            for kind in kinds:
                await self._switch(kind, False)
        finally:
            await self._output.drop(*kinds)


class PutsOut:
    """The output verbs of `bot.platforms.room.Room`, the same in every room that has devices."""

    _devices: Devices

    async def speak(self, media: Media, *, loop: bool) -> None:
        await self._devices.put_out("audio", media, loop=loop)

    async def show_image(self, media: Media) -> None:
        await self._devices.put_out("image", media, loop=True)

    async def share_video(self, media: Media, *, loop: bool) -> None:
        await self._devices.put_out("video", media, loop=loop)

    async def stop_output(self) -> None:
        await self._devices.stop()

    async def until_output_ends(self) -> None:
        await self._devices.until_end()

    async def tidy_output(self) -> None:
        await self._devices.tidy()

"""The SDK calls back from GLib's default context, which nobody turns in a program of asyncio."""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final, Protocol

from core.errors import BotFault

TURN_SECONDS: Final = 0.01
# A context that always has something to do must not keep the meeting from its own work.
MOST_AT_ONCE: Final = 50


class Pump(Protocol):
    async def turn(self) -> None:
        """Call back whatever is due, for ever."""
        ...


class GLibPump:
    """Turns the default context by itself, in this thread, without a main loop of GLib's.

    Raises:
        BotFault: the machine has no GLib.
    """

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libglib-2.0.so.0")
        except OSError:
            raise BotFault(
                "Zoom's SDK needs GLib (apt install libglib2.0-0); without it, set "
                "MEETBOT_ZOOM__ENGINE=web."
            ) from None
        self._iterate = library.g_main_context_iteration
        self._iterate.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self._iterate.restype = ctypes.c_int

    async def turn(self) -> None:
        while True:
            for _ in range(MOST_AT_ONCE):
                if not self._iterate(None, 0):
                    break
            await asyncio.sleep(TURN_SECONDS)

"""The verbs of a meeting: what a platform driver implements, and all that a session may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bot.platforms.media import Media
from core.errors import MeetingError
from core.platforms.spec import Capabilities as Capabilities


class View(StrEnum):
    """What the page is showing, as classified by the driver."""

    LOADING = "loading"
    PREJOIN = "prejoin"
    JOINING = "joining"
    LOBBY = "lobby"
    IN_ROOM = "in_room"
    OVER = "over"


@dataclass(frozen=True)
class Sight:
    """One look at the page. `failure` is set when the view is terminal for the bot.

    `evidence` is the text or anchor that decided, for `failure_detail` and logs (FC-02).
    `waiting_for_host` says that the lobby text blames an absent host (LC-26).
    """

    view: View
    evidence: str = ""
    failure: MeetingError | None = None
    waiting_for_host: bool = False


@dataclass(frozen=True)
class Entry:
    """How the bot presents itself at the door."""

    display_name: str
    password: str | None = field(default=None, repr=False)


class Room(Protocol):
    """A meeting page under a driver. Every method is bounded by the session's timeouts.

    What `capabilities` lacks is never asked for (PL-16).
    """

    capabilities: Capabilities

    async def open(self) -> None:
        """Load the page.

        Raises:
            RoomUnreachable, MeetingNotFound: nothing there to join.
        """
        ...

    async def ask_to_join(self, entry: Entry) -> None:
        """Fill the name, microphone and camera off, press join (or knock)."""
        ...

    async def look(self) -> Sight:
        """Classify what the page shows now; terminal states are tested before lobby texts."""
        ...

    async def settle_in(self) -> None:
        """Just admitted: captions on, panels open, whatever the driver needs to observe."""
        ...

    async def stop_incoming_video(self) -> bool:
        """Use the client's own verb to not receive video; False when it has none (D6)."""
        ...

    async def send_chat(self, text: str) -> None:
        """Post a message to everybody.

        Raises:
            BadInput: longer than this platform's chat takes.
        """
        ...

    async def pin(self, platform_id: str, display_name: str) -> None:
        """Keep somebody large in this bot's own view; once pinned it stays so.

        Raises:
            NotFound: the page shows nobody like that.
        """
        ...

    async def screenshot(self) -> bytes:
        """A PNG of the room as the bot sees it."""
        ...

    async def speak(self, media: Media, *, loop: bool) -> None:
        """Play a sound as the bot's microphone; returns when it has begun.

        Raises:
            BadInput: the browser cannot play it.
        """
        ...

    async def show_image(self, media: Media) -> None:
        """Show a picture as the bot's camera. Raises as `speak` does."""
        ...

    async def share_video(self, media: Media, *, loop: bool) -> None:
        """Share a video as the bot's screen. Raises as `speak` does."""
        ...

    async def stop_output(self) -> None:
        """Microphone, camera and screen off again; nothing happens when they are off."""
        ...

    async def until_output_ends(self) -> None:
        """Until something has played to its end; its device is still on then."""
        ...

    async def tidy_output(self) -> None:
        """Switch off the devices of what has played to its end."""
        ...

    async def leave(self) -> None:
        """Leave as a person would; never raises when the page is already gone."""
        ...

"""What a meeting platform is, as data: whose URLs are its own and what its rooms can do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, urlunsplit

Slug = Literal["meet", "teams", "zoom", "webex", "whereby", "jitsi", "discord", "sandbox"]


@dataclass(frozen=True)
class Capabilities:
    """What a platform can do; absence is data, not a method that raises."""

    lobby: bool = False
    captions: bool = False
    chat: bool = False
    host_role: bool = False
    stop_incoming_video: bool = False
    pin: bool = False
    screenshot: bool = False
    # Output media: a sound by the microphone, a picture by the camera, a video as shared screen.
    speak: bool = False
    show_image: bool = False
    share_video: bool = False


def as_given(parts: SplitResult) -> str:
    """For platforms whose links are their rooms' pages."""
    return urlunsplit(parts)


@dataclass(frozen=True)
class PlatformSpec:
    """One platform.

    `hosts` own their sub-domains. `rooms` are matched against `location_of` the URL, from its
    start; group `room` names the meeting. `forms` are the URL forms in words, for error messages.
    `web_url` makes of a URL the one that a guest's browser opens, without a detour
    over the platform's own application.
    `examples` maps URLs that must be claimed to the room they name, and `opened` some of them to
    what a bot opens for them; `near_misses` must be claimed by no platform. `aliases` are other
    names in requests, with the engine that they ask for.
    """

    slug: Slug
    title: str
    hosts: tuple[str, ...]
    rooms: tuple[re.Pattern[str], ...]
    forms: str
    examples: Mapping[str, str]
    near_misses: tuple[str, ...]
    capabilities: Capabilities
    aliases: Mapping[str, str | None] = field(default_factory=dict)
    web_url: Callable[[SplitResult], str] = as_given
    opened: Mapping[str, str] = field(default_factory=dict)
    entry_delay_seconds: int = 600
    scheme: str = "https"

    def owns_host(self, host: str) -> bool:
        """Whether `host` (lower case) is one of ours or below one, on a label boundary."""
        return any(host == own or host.endswith(f".{own}") for own in self.hosts)

    def room(self, parts: SplitResult) -> str | None:
        """The name of the room that a URL of this platform leads to; None when it is no room's."""
        location = location_of(parts)
        for pattern in self.rooms:
            if match := pattern.match(location):
                return match["room"]
        return None


def location_of(parts: SplitResult) -> str:
    """`//host/path?query#fragment`, host in lower case: what room patterns are matched against."""
    text = f"//{parts.hostname or ''}{parts.path}"
    text += f"?{parts.query}" if parts.query else ""
    return text + (f"#{parts.fragment}" if parts.fragment else "")

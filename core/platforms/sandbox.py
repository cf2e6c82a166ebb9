"""The sandbox: rooms that we serve ourselves, claimed by their exact origin (design.md D13)."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

SANDBOX: Final = PlatformSpec(
    slug="sandbox",
    title="Sandbox",
    hosts=(),
    rooms=(re.compile(r"//[^/]+/r/(?P<room>[\w-]+)/?(?:[?#]|$)"),),
    forms="<sandbox origin>/r/<roomId>?t=<guest token>",
    examples={"http://127.0.0.1:8081/r/room1?t=guest": "room1"},
    near_misses=(
        "http://127.0.0.1:8080/r/room1",
        "http://localhost:8081/r/room1",
        "https://127.0.0.1:8081/r/room1",
        "http://127.0.0.1.evil.example:8081/r/room1",
        "http://127.0.0.1:8081/api/rooms",
    ),
    capabilities=Capabilities(
        lobby=True,
        captions=True,
        chat=True,
        host_role=True,
        stop_incoming_video=True,
        pin=True,
        screenshot=True,
        speak=True,
        show_image=True,
        share_video=True,
    ),
)

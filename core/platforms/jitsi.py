"""Jitsi Meet: the public server, and any other by `platform` or `metadata.jitsi.serverUrl`."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

JITSI: Final = PlatformSpec(
    slug="jitsi",
    title="Jitsi Meet",
    hosts=("meet.jit.si",),
    # Own servers may sit below a path, so the room is the last segment.
    rooms=(re.compile(r"//[^/]+/(?:[^/?#]+/)*(?!static(?:[/?#]|$))(?P<room>[^/?#]+)/?(?:[?#]|$)"),),
    forms="https://meet.jit.si/<room>, or your own server with platform: jitsi",
    examples={
        "https://meet.jit.si/cs101": "cs101",
        "https://meet.jit.si/team/cs101#config.startWithAudioMuted=true": "cs101",
    },
    near_misses=(
        "https://meet.jit.si/",
        "https://jit.si/cs101",
        "https://evilmeet.jit.si/cs101",
        "https://meet.jit.si.evil.example/cs101",
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

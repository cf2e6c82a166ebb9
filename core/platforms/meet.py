"""Google Meet."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

MEET: Final = PlatformSpec(
    slug="meet",
    title="Google Meet",
    hosts=("meet.google.com",),
    rooms=(
        re.compile(r"//[^/]+/(?P<room>[a-z]{3}-[a-z]{4}-[a-z]{3})/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/lookup/(?P<room>[^/?#]+)/?(?:[?#]|$)"),
    ),
    forms="https://meet.google.com/abc-defg-hij or https://meet.google.com/lookup/<name>",
    examples={
        "https://meet.google.com/abc-defg-hij": "abc-defg-hij",
        "https://meet.google.com/abc-defg-hij?authuser=1&hs=179": "abc-defg-hij",
        "https://meet.google.com/lookup/cs101": "cs101",
    },
    near_misses=(
        "https://meet.google.com/",
        "https://meet.google.com/new",
        "https://meet.google.com/ABC-DEFG-HIJ",
        "https://meet.google.com/abc-defg-hijk",
        "https://meet.google.com.evil.example/abc-defg-hij",
        "https://evilmeet.google.com.example/abc-defg-hij",
        "https://google.com/abc-defg-hij",
        "https://xmeet.google.com/abc-defg-hij",
    ),
    capabilities=Capabilities(
        lobby=True,
        captions=True,
        chat=True,
        host_role=True,
        pin=True,
        screenshot=True,
        speak=True,
        show_image=True,
        share_video=True,
    ),
    aliases={"google_meet": None, "google-meet": None, "gmeet": None},
)

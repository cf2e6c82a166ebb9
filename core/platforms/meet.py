"""Google Meet."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult

from core.platforms.spec import Capabilities, PlatformSpec


def _web_url(parts: SplitResult) -> str:
    """In English whatever the address of the bot; of an account or an old tab nothing is left."""
    path = (
        parts.path.rstrip("/")
        if parts.hostname != "g.co"
        else f"/lookup/{parts.path.split('/')[2]}"
    )
    return f"https://meet.google.com{path}?hl=en"


MEET: Final = PlatformSpec(
    slug="meet",
    title="Google Meet",
    hosts=("meet.google.com", "g.co"),
    rooms=(
        re.compile(r"//meet\.google\.com/(?P<room>[a-z]{3}-[a-z]{4}-[a-z]{3})/?(?:[?#]|$)"),
        re.compile(r"//meet\.google\.com/lookup/(?P<room>[^/?#]+)/?(?:[?#]|$)"),
        re.compile(r"//g\.co/meet/(?P<room>[^/?#]+)/?(?:[?#]|$)"),
    ),
    forms="https://meet.google.com/abc-defg-hij or https://meet.google.com/lookup/<name>",
    examples={
        "https://meet.google.com/abc-defg-hij": "abc-defg-hij",
        "https://meet.google.com/abc-defg-hij?authuser=1&hs=179": "abc-defg-hij",
        "https://meet.google.com/lookup/cs101": "cs101",
        "https://g.co/meet/cs101": "cs101",
    },
    web_url=_web_url,
    opened={
        "https://meet.google.com/abc-defg-hij": "https://meet.google.com/abc-defg-hij?hl=en",
        "https://meet.google.com/abc-defg-hij/?authuser=1&hs=179#x": (
            "https://meet.google.com/abc-defg-hij?hl=en"
        ),
        "https://meet.google.com/lookup/cs101?x=1": "https://meet.google.com/lookup/cs101?hl=en",
        "https://g.co/meet/cs101": "https://meet.google.com/lookup/cs101?hl=en",
    },
    near_misses=(
        "https://meet.google.com/",
        "https://meet.google.com/new",
        "https://meet.google.com/_meet/whoops",
        "https://g.co/kgs/abc",
        "https://g.co/abc-defg-hij",
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
        screenshot=True,
        speak=True,
        show_image=True,
        share_video=True,
    ),
    aliases={"google_meet": None, "google-meet": None, "gmeet": None},
)

"""Whereby, and Whereby Embedded on its customers' sub-domains."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlunsplit

from core.platforms.spec import Capabilities, PlatformSpec

# In English, with nothing on, and without effects on a camera that stays off.
_OPTIONS: Final = {"audio": "off", "video": "off", "background": "off", "lang": "en"}


def _web_url(parts: SplitResult) -> str:
    """With the page's own options; what the link says else, such as `roomKey`, stays."""
    given = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in given if key not in _OPTIONS]
    return urlunsplit(parts._replace(query=urlencode([*kept, *_OPTIONS.items()])))


WHEREBY: Final = PlatformSpec(
    slug="whereby",
    title="Whereby",
    hosts=("whereby.com",),
    rooms=(
        re.compile(
            r"//[^/]+/(?!(?:information|blog|user|org|pricing|login|signup)(?:[/?#]|$))"
            r"(?P<room>[\w.-]+)/?(?:[?#]|$)"
        ),
    ),
    forms="https://whereby.com/<room> or https://<organisation>.whereby.com/<room>",
    examples={
        "https://whereby.com/team-sync": "team-sync",
        "https://acme.whereby.com/0123-abc?roomKey=k": "0123-abc",
    },
    web_url=_web_url,
    opened={
        "https://acme.whereby.com/0123-abc?roomKey=k&video=on#x": (
            "https://acme.whereby.com/0123-abc?roomKey=k&audio=off&video=off&background=off&lang=en#x"
        ),
    },
    near_misses=(
        "https://evilwhereby.com/team-sync",
        "https://whereby.com.evil.example/team-sync",
        "https://whereby.com/",
        "https://whereby.com/information/pricing",
        "https://whereby.com/user",
    ),
    capabilities=Capabilities(
        lobby=True,
        chat=True,
        host_role=True,
        screenshot=True,
        speak=True,
        show_image=True,
        share_video=True,
    ),
)

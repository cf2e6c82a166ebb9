"""Whereby, and Whereby Embedded on its customers' sub-domains."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

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
        pin=True,
        screenshot=True,
        speak=True,
        show_image=True,
        share_video=True,
    ),
)

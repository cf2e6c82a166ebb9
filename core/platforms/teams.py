"""Microsoft Teams."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

TEAMS: Final = PlatformSpec(
    slug="teams",
    title="Microsoft Teams",
    hosts=("teams.microsoft.com", "teams.live.com"),
    rooms=(
        re.compile(r"//[^/]+/l/meetup-join/(?P<room>[^/?#]+)"),
        re.compile(r"//[^/]+/meet/(?P<room>\d+)/?(?:[?#]|$)"),
        # What invitations and redirects turn the two forms above into.
        re.compile(r"//[^/]+/v2/?\?[^#]*#/(?:l/meetup-join|meet)/(?P<room>[^/?#]+)"),
        re.compile(
            r"//[^/]+/dl/launcher/launcher\.html\?(?:.*&)?url="
            r"(?:/|%2[fF])_(?:#|%23)(?:/|%2[fF])(?:l(?:/|%2[fF])meetup-join|meet)(?:/|%2[fF])"
            r"(?P<room>[^/?#&]+)"
        ),
        re.compile(r"//[^/]+/light-meetings/launch\?(?:.*&)?coords=(?P<room>[^&#]+)"),
    ),
    forms=(
        "https://teams.microsoft.com/l/meetup-join/<thread>/…, "
        "https://teams.microsoft.com/meet/<digits>?p=<passcode> or "
        "https://teams.live.com/meet/<digits>"
    ),
    examples={
        "https://teams.microsoft.com/l/meetup-join/19%3ameeting_Yz%40thread.v2/0?context=%7b%7d": (
            "19%3ameeting_Yz%40thread.v2"
        ),
        "https://teams.microsoft.com/meet/2123456789012?p=Ab3": "2123456789012",
        "https://teams.live.com/meet/9312345678901?p=x": "9312345678901",
        "https://eu.teams.microsoft.com/meet/2123456789012": "2123456789012",
        "https://teams.microsoft.com/v2/?meetingjoin=true#/l/meetup-join/19:m@thread.v2/0": (
            "19:m@thread.v2"
        ),
        (
            "https://teams.microsoft.com/dl/launcher/launcher.html"
            "?url=%2F_%23%2Fl%2Fmeetup-join%2F19%3Am%2F0"
        ): "19%3Am%2F0",
    },
    near_misses=(
        "https://teams.microsoft.com/",
        "https://teams.microsoft.com/l/channel/19%3a1%40thread.tacv2/General",
        "https://teams.live.com/meet/abc",
        "https://evilteams.live.com/meet/9312345678901",
        "https://teams.live.com.evil.example/meet/9312345678901",
        "https://microsoft.com/meet/9312345678901",
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
    aliases={"msteams": None, "microsoft_teams": None},
)

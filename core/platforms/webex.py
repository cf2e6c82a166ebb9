"""Cisco Webex."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

WEBEX: Final = PlatformSpec(
    slug="webex",
    title="Cisco Webex",
    hosts=("webex.com",),
    rooms=(
        re.compile(r"//[^/]+/meet/(?P<room>[^/?#]+)/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/[\w.-]+/j\.php\?(?:.*&)?MTID=(?P<room>\w+)", re.IGNORECASE),
        re.compile(
            r"//[^/]+/(?:wbxmjrn|wbxmjs/joinservice|webappng)/sites/[\w.-]+/"
            r"(?:meeting/(?:(?:info|download|register)/)?)?(?P<room>[\w.-]+)"
        ),
    ),
    forms=(
        "https://<site>.webex.com/meet/<user>, https://<site>.webex.com/<site>/j.php?MTID=… or "
        "https://<site>.webex.com/webappng/sites/<site>/meeting/…"
    ),
    examples={
        "https://acme.webex.com/meet/jane": "jane",
        "https://acme.webex.com/acme/j.php?MTID=m0123abc": "m0123abc",
        "https://acme.webex.com/wbxmjrn/sites/acme/meeting/0123abc": "0123abc",
        "https://acme.webex.com/webappng/sites/acme/meeting/info/0123abc?MTID=m1": "0123abc",
        "https://acme.webex.com/wbxmjs/joinservice/sites/acme/meeting/download/0123abc": "0123abc",
        "https://meet123.webex.com/meet/pr1234567890": "pr1234567890",
    },
    near_misses=(
        "https://evilwebex.com/meet/jane",
        "https://acme.webex.com.evil.example/meet/jane",
        "https://www.webex.com/pricing",
        "https://acme.webex.com/meet/",
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
)

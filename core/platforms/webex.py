"""Cisco Webex."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlunsplit

from core.platforms.spec import Capabilities, PlatformSpec


def _web_url(parts: SplitResult) -> str:
    """Without the request to open the application."""
    kept = [one for one in parts.query.split("&") if one.partition("=")[0] != "launchApp"]
    return urlunsplit(parts._replace(query="&".join(kept)))


WEBEX: Final = PlatformSpec(
    slug="webex",
    title="Cisco Webex",
    hosts=("webex.com",),
    rooms=(
        # Both are personal rooms; the second leads to the first.
        re.compile(r"//[^/]+/(?:meet|join)/(?P<room>[^/?#]+)/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/weblink/register/(?P<room>\w+)/?(?:[?#]|$)"),
        re.compile(r"//web\.webex\.com/meetings/(?P<room>[\w.-]+)/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/[\w.-]+/(?:e/)?[je]\.php\?(?:.*&)?MTID=(?P<room>\w+)", re.IGNORECASE),
        re.compile(
            r"//[^/]+/(?:wbxmjrn|wbxmjs/joinservice)/sites/[\w.-]+/"
            r"(?:meeting/(?:(?:info|download|register)/)?)?(?P<room>[\w.-]+)"
        ),
        # The same pages hold recordings, lists and settings.
        re.compile(
            r"//[^/]+/webappng/sites/[\w.-]+/meeting/(?:(?:info|download|register)/)?"
            r"(?!(?:info|download|register|home|schedule|list)/?(?:[?#]|$))(?P<room>[\w.-]+)"
        ),
    ),
    forms=(
        "https://<site>.webex.com/meet/<user>, https://<site>.webex.com/<site>/j.php?MTID=… or "
        "https://<site>.webex.com/webappng/sites/<site>/meeting/…"
    ),
    examples={
        "https://acme.webex.com/meet/jane": "jane",
        "https://acme.webex.com/join/jane": "jane",
        "https://acme.webex.com/acme/j.php?MTID=m0123abc": "m0123abc",
        "https://acme.webex.com/acme/e.php?MTID=m0123abc": "m0123abc",
        "https://acme.webex.com/wbxmjrn/sites/acme/meeting/0123abc": "0123abc",
        "https://acme.webex.com/webappng/sites/acme/meeting/info/0123abc?MTID=m1": "0123abc",
        "https://acme.webex.com/wbxmjs/joinservice/sites/acme/meeting/download/0123abc": "0123abc",
        "https://meet123.webex.com/meet/pr1234567890": "pr1234567890",
        "https://acme.webex.com/acme/e/j.php?MTID=m0123abc": "m0123abc",
        "https://acme.webex.com/weblink/register/r0123abc": "r0123abc",
        "https://web.webex.com/meetings/0123abc": "0123abc",
    },
    web_url=_web_url,
    opened={
        "https://acme.webex.com/webappng/sites/acme/meeting/info/0123abc?launchApp=true&MTID=m1": (
            "https://acme.webex.com/webappng/sites/acme/meeting/info/0123abc?MTID=m1"
        ),
    },
    near_misses=(
        "https://evilwebex.com/meet/jane",
        "https://acme.webex.com.evil.example/meet/jane",
        "https://www.webex.com/pricing",
        "https://acme.webex.com/meet/",
        "https://acme.webex.com/webappng/sites/acme/dashboard",
        "https://acme.webex.com/webappng/sites/acme/meeting/home",
        "https://acme.webex.com/webappng/sites/acme/meeting/info/",
        "https://acme.webex.com/webappng/sites/acme/recording/play/0123abc",
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
)

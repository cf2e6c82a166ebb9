"""Zoom."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlunsplit

from core.platforms.spec import Capabilities, PlatformSpec

# The passcode, and what a registrant is known by; everything else is about the sender's client.
_KEPT: Final = ("pwd", "tk")
_GOVERNMENT: Final = "zoomgov.com"


def _web_url(parts: SplitResult) -> str:
    """The web client's own page. A name (`/my/<name>`) has no number: its page leads there."""
    host, room = parts.hostname or "", ZOOM.room(parts)
    if room is None or not room.isdigit() or parts.path.startswith("/my/"):
        return urlunsplit(parts)
    if not (host == _GOVERNMENT or host.endswith(f".{_GOVERNMENT}")):
        host = "app.zoom.us"
    kept = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key in _KEPT])
    return urlunsplit(("https", host, f"/wc/{room}/join", kept, ""))


ZOOM: Final = PlatformSpec(
    slug="zoom",
    title="Zoom",
    hosts=("zoom.us", "zoom.com", _GOVERNMENT),
    rooms=(
        re.compile(r"//[^/]+/(?:j|w|s)/(?P<room>\d{9,11})/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/my/(?P<room>[\w.-]+)/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/wc/(?P<room>\d{9,11})(?:/(?:join|start))?/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/wc/join/(?P<room>\d{9,11})/?(?:[?#]|$)"),
        re.compile(r"//events\.zoom\.us/ejl/(?P<room>[\w.~-]+)/?(?:[?#]|$)"),
    ),
    forms=(
        "https://<site>.zoom.us/j/<9 to 11 digits>?pwd=…, /w/<digits>, /my/<name> "
        "or /wc/<digits>/join"
    ),
    examples={
        "https://acme.zoom.us/j/9123456789?pwd=k": "9123456789",
        "https://zoom.us/j/912345678": "912345678",
        "https://us02web.zoom.us/w/91234567890?tk=t": "91234567890",
        "https://acme.zoom.us/my/jane.doe": "jane.doe",
        "https://app.zoom.us/wc/9123456789/join?pwd=k": "9123456789",
        "https://zoom.us/wc/join/9123456789": "9123456789",
        "https://zoom.com/j/9123456789": "9123456789",
        "https://agency.zoomgov.com/j/1612345678?pwd=k": "1612345678",
        "https://events.zoom.us/ejl/AbC_d-1": "AbC_d-1",
    },
    web_url=_web_url,
    opened={
        "https://acme.zoom.us/j/9123456789?pwd=k3.1&uname=x#success": (
            "https://app.zoom.us/wc/9123456789/join?pwd=k3.1"
        ),
        "https://us02web.zoom.us/w/91234567890?tk=t.A&pwd=k": (
            "https://app.zoom.us/wc/91234567890/join?tk=t.A&pwd=k"
        ),
        "https://zoom.us/wc/join/9123456789": "https://app.zoom.us/wc/9123456789/join",
        "https://zoom.com/s/9123456789": "https://app.zoom.us/wc/9123456789/join",
        "https://agency.zoomgov.com/j/1612345678?pwd=k": (
            "https://agency.zoomgov.com/wc/1612345678/join?pwd=k"
        ),
        "https://acme.zoom.us/my/jane.doe": "https://acme.zoom.us/my/jane.doe",
        "https://acme.zoom.us/my/123456789": "https://acme.zoom.us/my/123456789",
        "https://events.zoom.us/ejl/AbC_d-1": "https://events.zoom.us/ejl/AbC_d-1",
    },
    near_misses=(
        "https://evilzoom.us/j/9123456789",
        "https://zoom.us.evil.example/j/9123456789",
        "https://zoom.us/pricing",
        "https://evilzoomgov.com/j/1612345678",
        "https://events.zoom.us/ev/AbC_d-1",
        "https://zoom.us/j/12345",
        "https://zoom.us/j/123456789012",
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
    aliases={"zoom_web": "web", "zoom_sdk": "sdk"},
)

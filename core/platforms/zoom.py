"""Zoom."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

ZOOM: Final = PlatformSpec(
    slug="zoom",
    title="Zoom",
    hosts=("zoom.us", "zoom.com"),
    rooms=(
        re.compile(r"//[^/]+/(?:j|w|s)/(?P<room>\d{9,11})/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/my/(?P<room>[\w.-]+)/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/wc/(?P<room>\d{9,11})(?:/(?:join|start))?/?(?:[?#]|$)"),
        re.compile(r"//[^/]+/wc/join/(?P<room>\d{9,11})/?(?:[?#]|$)"),
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
    },
    near_misses=(
        "https://evilzoom.us/j/9123456789",
        "https://zoom.us.evil.example/j/9123456789",
        "https://zoom.us/pricing",
        "https://zoom.us/j/12345",
        "https://zoom.us/j/123456789012",
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
    aliases={"zoom_web": "web", "zoom_sdk": "sdk"},
)

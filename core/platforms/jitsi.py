"""Jitsi Meet: the public server, and any other by `platform` or `metadata.jitsi.serverUrl`."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlunsplit

from core.platforms.spec import Capabilities, PlatformSpec

# Values are JSON. The name is typed at the door, where the others see it come from (PL-05).
_CONFIG: Final = (
    "config.defaultLanguage=%22en%22",
    "config.disableDeepLinking=true",
    "config.startWithAudioMuted=true",
    "config.startWithVideoMuted=true",
)


def _web_url(parts: SplitResult) -> str:
    """With the client's configuration in the hash; what the link sets else stays."""
    ours = {item.partition("=")[0] for item in _CONFIG}
    given = [one for one in parts.fragment.split("&") if one and one.partition("=")[0] not in ours]
    return urlunsplit(parts._replace(fragment="&".join((*given, *_CONFIG))))


JITSI: Final = PlatformSpec(
    slug="jitsi",
    title="Jitsi Meet",
    hosts=("meet.jit.si", "8x8.vc"),
    # Own servers may sit below a path, so the room is the last segment. Rooms of 8x8's service are
    # below the name of a customer.
    rooms=(
        re.compile(
            r"//(?!(?:[^/]+\.)?8x8\.vc/[^/?#]*/?(?:[?#]|$))[^/]+/(?:[^/?#]+/)*(?!static(?:[/?#]|$))(?P<room>[^/?#]+)/?(?:[?#]|$)"
        ),
    ),
    forms=(
        "https://meet.jit.si/<room>, https://8x8.vc/<customer>/<room>, "
        "or your own server with platform: jitsi"
    ),
    examples={
        "https://meet.jit.si/cs101": "cs101",
        "https://meet.jit.si/team/cs101#config.startWithAudioMuted=true": "cs101",
        "https://8x8.vc/acme/cs101?jwt=e.y.J": "cs101",
    },
    web_url=_web_url,
    opened={
        "https://meet.jit.si/cs101": "https://meet.jit.si/cs101#" + "&".join(_CONFIG),
        "https://meet.jit.si/team/cs101#config.startWithAudioMuted=false&config.x=1": (
            "https://meet.jit.si/team/cs101#" + "&".join(("config.x=1", *_CONFIG))
        ),
    },
    near_misses=(
        "https://meet.jit.si/",
        "https://jit.si/cs101",
        "https://8x8.vc/acme",
        "https://8x8.vc/acme/?x=1",
        "https://evil8x8.vc/acme/cs101",
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

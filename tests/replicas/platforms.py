"""The platforms that have a replica: a platform that is added is one line here and a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiortc import RTCPeerConnection

from core.platforms.spec import Slug
from tests.replicas.meet.channels import everybody, screen_stream, share


def meeting_code(number: int) -> str:
    """Three, four and three letters, as Google Meet's."""
    letters = "".join(chr(97 + number // 26**place % 26) for place in range(4))
    return f"rep-{letters}-lic"


@dataclass(frozen=True)
class ReplicaPlatform:
    """`url` with `{room}`; `lacks` names scenarios that the platform does not have.

    `named` makes the name of a room as the platform does; `in_path`: the name is the last part of
    the path of the page that is opened; `person` makes the ids of people. `topology` is how voices
    come: each on a track of its own (`mesh`, `bridge`, `sfu`), all on one (`mix`), or by turns on
    three (`turns`); `stream_id` makes the id of a person's media stream, of the mix's, or of a
    receiver's. `answer`: what the platform's servers answer a client who asks for everybody, of the
    room's people and the bot's name. `share`: what they say over a screen's own connection, and
    whose screen it is.
    """

    slug: Slug
    host: str
    url: str
    lacks: frozenset[str] = field(default_factory=frozenset)
    named: Callable[[int], str] = "room{}".format
    in_path: bool = True
    person: Callable[[int], str] = "a{:07x}".format
    topology: Literal["mesh", "bridge", "sfu", "mix", "turns"] | None = None
    stream_id: Callable[[str], str] = "stream-of-{}".format
    # Of a shared screen; None: the replica shows none.
    screen_id: Callable[[str], str] | None = "screen-of-{}".format
    captions: bool = True
    answer: Callable[[Sequence[Mapping[str, Any]], str], bytes] | None = None
    share: Callable[[RTCPeerConnection, str], None] | None = None

    @property
    def origin(self) -> str:
        return f"https://{self.host}"


REPLICAS = (
    ReplicaPlatform(
        "jitsi",
        "meet.jit.si",
        "https://meet.jit.si/{room}",
        frozenset({"captcha", "recording disabled", "locked for good"}),
        topology="bridge",
        stream_id="{}-audio-0-1".format,
        screen_id="{}-desktop-0-2".format,
    ),
    ReplicaPlatform(
        "whereby",
        "acme.whereby.com",
        "https://acme.whereby.com/{room}?roomKey=k",
        frozenset(
            {
                "captcha",
                "recording disabled",
                "passcode",
                "passcode missing",
                "passcode wrong",
                "no door",
            }
        ),
        topology="mesh",
        captions=False,
    ),
    ReplicaPlatform(
        "teams",
        "teams.microsoft.com",
        "https://teams.microsoft.com/meet/{room}?p=Ab3",
        frozenset({"no door", "locked for good"}),
        named="2{:012}".format,
        in_path=False,
        topology="mix",
        stream_id="mainAudio-{}".format,
    ),
    ReplicaPlatform(
        "zoom",
        "app.zoom.us",
        "https://zoom.us/j/{room}",
        # Its rooms are told from its lobby by labels alone.
        frozenset({"no door", "locked for good", "other language"}),
        named="9{:09}".format,
        in_path=False,
        person=lambda index: str(16_779_264 + 1024 * index),
        topology="sfu",
        # The number holds the person's, and other things in its low bits.
        stream_id=lambda who: f"{int(who) + 517}%2B16778240%2BCS%2B1",
        captions=False,
    ),
    ReplicaPlatform(
        "webex",
        "acme.webex.com",
        "https://acme.webex.com/meet/{room}",
        frozenset({"no door", "locked for good"}),
        topology="mix",
        stream_id="slot-of-{}".format,
    ),
    ReplicaPlatform(
        "meet",
        "meet.google.com",
        "https://meet.google.com/{room}?authuser=1",
        # Its meetings have no passcodes, what it says of a full one is not known, and its
        # labels are all there is: the page is opened in English.
        frozenset(
            {
                "passcode",
                "passcode missing",
                "passcode wrong",
                "no door",
                "full",
                "locked for good",
                "other language",
            }
        ),
        named=meeting_code,
        topology="turns",
        stream_id="666{}".format,
        screen_id=screen_stream,
        share=share,
        answer=everybody,
    ),
)
HOSTS = {one.host: one for one in REPLICAS}

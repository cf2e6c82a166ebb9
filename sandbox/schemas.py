"""What travels over HTTP and the room's WebSocket, as JSON in camelCase.

Light on purpose: the client imports this module, and nothing here needs a media library.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter
from pydantic.alias_generators import to_camel

DISPLAY_NAME_LIMIT = 60
CHAT_LIMIT = 2_000


class Wire(BaseModel):
    """Camel case outside, snake case inside; unknown fields are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class RoomOptions(Wire):
    """How a room is made. `script` names a conversation of the library; None: no scripted peers.

    A looped script starts again when it is over; with `ends_when_script_ends` it runs once and
    the room ends with it. `max_guests` counts people and bots, not scripted peers.
    """

    script: str | None = "conversation"
    lobby: bool = False
    video: bool = True
    incoming_video_toggle: bool = True
    captions: bool = True
    ends_when_script_ends: bool = False
    loop: bool = True
    max_seconds: int = Field(default=14_400, ge=1, le=86_400)
    max_guests: int = Field(default=20, ge=1, le=100)


class RoomCreated(Wire):
    """The doors of a new room. The host token also opens `GET /api/rooms/{id}`."""

    room_id: str
    guest_url: str
    host_url: str
    guest_token: SecretStr
    host_token: SecretStr


class RoomState(StrEnum):
    OPEN = "open"
    ENDED = "ended"


class ParticipantView(Wire):
    """Somebody in the room. `screen` is the id of the media stream of a shared screen."""

    participant_id: str
    display_name: str
    host: bool
    kind: Literal["browser", "scripted"]
    microphone: bool
    camera: bool
    screen: str | None = None


class Waiting(Wire):
    """Somebody in the lobby."""

    participant_id: str
    display_name: str


class Utterance(Wire):
    """A sentence that was really sent; times in epoch milliseconds.

    `started_at_ms`: its first packet left; `ended_at_ms`: its last one did, None while spoken.
    """

    participant_id: str
    display_name: str
    text: str
    started_at_ms: int
    ended_at_ms: int | None = None


class ChatMessage(Wire):
    """`at` in epoch milliseconds."""

    message_id: str
    participant_id: str
    display_name: str
    text: str
    at: int


class Caption(Wire):
    """The words of one utterance so far; the same id until `final`."""

    caption_id: str
    participant_id: str
    display_name: str
    text: str
    final: bool


class RoomView(Wire):
    """A room as its owner sees it."""

    room_id: str
    state: RoomState
    created_at_ms: int
    options: RoomOptions
    participants: tuple[ParticipantView, ...]
    lobby: tuple[Waiting, ...]
    chat: tuple[ChatMessage, ...]
    timeline: tuple[Utterance, ...]
    # How often browsers asked scripted peers for a key frame.
    key_frame_requests: int


class HostAction(StrEnum):
    ADMIT = "admit"
    DENY = "deny"
    KICK = "kick"
    MUTE = "mute"
    END = "end"


class HostCommand(Wire):
    """Without `participant_id`, admit and deny mean all in the lobby and mute means everybody."""

    action: HostAction
    participant_id: str | None = None


class Reason(StrEnum):
    """Why the page shows its last view; `lost` is found out by the page itself."""

    DENIED = "denied"
    KICKED = "kicked"
    ENDED = "ended"
    NOT_FOUND = "not-found"
    FULL = "full"
    LEFT = "left"


# What a page says.


class Join(Wire):
    type: Literal["join"] = "join"
    token: SecretStr
    display_name: Annotated[str, Field(min_length=1, max_length=DISPLAY_NAME_LIMIT)]
    microphone: bool = False
    camera: bool = False


class Signal(Wire):
    """A session description or a candidate. `peer` is the other end: recipient, then sender.

    `connection` tells apart successive connections of the same pair.
    """

    type: Literal["signal"] = "signal"
    peer: str
    connection: str = ""
    description: dict[str, Any] | None = None
    candidate: dict[str, Any] | None = None


class Say(Wire):
    type: Literal["chat"] = "chat"
    text: Annotated[str, Field(min_length=1, max_length=CHAT_LIMIT)]


class Sending(Wire):
    """What the page sends now."""

    type: Literal["sending"] = "sending"
    microphone: bool
    camera: bool
    screen: Annotated[str, Field(max_length=200)] | None = None


class IncomingVideo(Wire):
    type: Literal["incoming-video"] = "incoming-video"
    on: bool


class Host(Wire):
    type: Literal["host"] = "host"
    action: HostAction
    participant_id: str | None = None


class Leave(Wire):
    type: Literal["leave"] = "leave"


FromPage = Annotated[
    Signal | Say | Sending | IncomingVideo | Host | Leave, Field(discriminator="type")
]
FROM_PAGE: TypeAdapter[FromPage] = TypeAdapter(FromPage)


# What the server says.


class InLobby(Wire):
    type: Literal["lobby"] = "lobby"


class Welcome(Wire):
    type: Literal["welcome"] = "welcome"
    participant_id: str
    host: bool
    captions: bool
    incoming_video_toggle: bool
    participants: tuple[ParticipantView, ...]
    chat: tuple[ChatMessage, ...]
    # Who does not want our camera.
    without_video: tuple[str, ...]


class Joined(Wire):
    type: Literal["joined"] = "joined"
    participant: ParticipantView


class Updated(Wire):
    type: Literal["updated"] = "updated"
    participant: ParticipantView


class Left(Wire):
    type: Literal["left"] = "left"
    participant_id: str


class LobbyChanged(Wire):
    type: Literal["lobby-changed"] = "lobby-changed"
    waiting: tuple[Waiting, ...]


class Said(Wire):
    type: Literal["chat"] = "chat"
    message: ChatMessage


class Captioned(Wire):
    type: Literal["caption"] = "caption"
    caption: Caption


class WantsVideo(Wire):
    """`participant_id` wants (or no longer wants) to receive our camera."""

    type: Literal["wants-video"] = "wants-video"
    participant_id: str
    on: bool


class PleaseMute(Wire):
    type: Literal["mute"] = "mute"


class Beat(Wire):
    """Sent every few seconds, so that a page notices a server that went silent."""

    type: Literal["beat"] = "beat"


class Over(Wire):
    type: Literal["over"] = "over"
    reason: Reason
    message: str


ToPage = (
    InLobby
    | Welcome
    | Joined
    | Updated
    | Left
    | LobbyChanged
    | Said
    | Captioned
    | WantsVideo
    | PleaseMute
    | Beat
    | Signal
    | Over
)

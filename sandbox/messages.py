"""What travels over a room's WebSocket, as JSON in camelCase; mirrored by `page/types.js`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, TypeAdapter

from sandbox.schemas import Caption, ChatMessage, HostAction, ParticipantView, Waiting, Wire

DISPLAY_NAME_LIMIT: Final = 60
CHAT_LIMIT: Final = 2_000


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


class Pin(Wire):
    """Whom the page keeps large; None: nobody."""

    type: Literal["pin"] = "pin"
    participant_id: Annotated[str, Field(max_length=100)] | None = None


class Host(Wire):
    type: Literal["host"] = "host"
    action: HostAction
    participant_id: str | None = None


class Leave(Wire):
    type: Literal["leave"] = "leave"


FromPage = Annotated[
    Signal | Say | Sending | IncomingVideo | Pin | Host | Leave, Field(discriminator="type")
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

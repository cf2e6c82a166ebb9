"""What travels over HTTP, as JSON in camelCase.

Light on purpose: the client imports this module, and nothing here needs a media library.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel


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
    """Somebody in the room. `screen` is the id of the media stream of a shared screen.

    `pinned` is whom this participant keeps large in its own view.
    """

    participant_id: str
    display_name: str
    host: bool
    kind: Literal["browser", "scripted"]
    microphone: bool
    camera: bool
    screen: str | None = None
    pinned: str | None = None


class Waiting(Wire):
    """Somebody in the lobby."""

    participant_id: str
    display_name: str


class Utterance(Wire):
    """A sentence of which something was really sent; times in epoch milliseconds.

    `started_at_ms`: when it began by the room's clock, whoever was there to hear it;
    `ended_at_ms`: when the last packet that was sent was due, None while spoken.
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

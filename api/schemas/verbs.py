"""What is asked of a live bot, and what it brings (API-67, API-69, API-71, API-72)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, model_validator

from api.schemas.wire import MomentOut, Printable, Request, Response
from core.media_types import MediaKind

DEFAULT_REQUEST: Final = (
    "I would like to record this meeting. Is that all right with everybody? "
    "Please answer yes or no here in the chat."
)


def _shown(text: str) -> str:
    if not all(character.isprintable() or character == "\n" for character in text):
        raise ValueError("Only printable characters and line breaks are allowed.")
    return text


MessageText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(_shown),
]


class ChatMessageIn(Request):
    """A message for everybody in the meeting."""

    message: MessageText


class PermissionRequestIn(Request):
    """The words that ask for permission to record."""

    message: MessageText = DEFAULT_REQUEST


class PinIn(Request):
    """Whom to pin: one of the two."""

    participant_id: Annotated[Printable, Field(min_length=1, max_length=64)] | None = None
    display_name: Annotated[Printable, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.participant_id is None) == (self.display_name is None):
            raise ValueError("Send exactly one of participantId and displayName.")
        return self


class OutputMediaIn(Request):
    """What the bot plays as its microphone, shows as its camera or shares as its screen."""

    kind: MediaKind
    url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    data: Annotated[str, Field(min_length=1, description="Base64.")] | None = None
    loop: StrictBool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.url is None) == (self.data is None):
            raise ValueError("Send exactly one of url and data.")
        return self


class ScreenshotOut(Response):
    """A picture of the meeting as the bot sees it; `url` is good for 900 s."""

    uri: str
    url: str
    mime_type: Literal["image/png"] = "image/png"
    width: int
    height: int
    taken_at: MomentOut


def payload_of(body: Request) -> dict[str, Any]:
    """The command's payload for a request body."""
    return body.model_dump(by_alias=True)

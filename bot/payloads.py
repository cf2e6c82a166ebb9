"""What commands carry, checked: they were written by the API, which may be another version."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bot.control import Command
from core.errors import BadInput

P = TypeVar("P", bound=BaseModel)


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Message(_Payload):
    """Of `send-chat-message` and `request-recording-permission`."""

    message: Annotated[str, Field(min_length=1, max_length=20_000)]


class Whom(_Payload):
    """Of `pin-participant`: an id of ours, or a name in the room."""

    participant_id: Annotated[str, Field(max_length=200)] | None = None
    display_name: Annotated[str, Field(max_length=1000)] | None = None


class Output(_Payload):
    """Of `output-media`; the bytes are in the job's storage."""

    kind: Literal["audio", "image", "video"]
    key: Annotated[str, Field(max_length=500)]
    mime_type: Annotated[str, Field(max_length=200)]
    loop: bool = False


def read_payload(command: Command, model: type[P]) -> P:
    """The payload of a command.

    Raises:
        BadInput: it lacks something, or holds something else.
    """
    payload: dict[str, Any] = dict(command.payload)
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "payload"
        raise BadInput(f"{command.verb} cannot be done: {where}: {first['msg']}.") from error

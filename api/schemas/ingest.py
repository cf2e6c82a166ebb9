"""What bots in another network say, and are told (API-22, API-76)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StrictInt

from api.schemas.wire import MomentIn, MomentOut, Request, Response
from core.ids import ULID_PATTERN
from core.jobs.ingest import MessageType
from core.jobs.models import JobCommand
from core.jobs.verbs import Verb

LONGEST_WAIT_SECONDS: Final = 25


class IngestIn(Request):
    """One message of a bot.

    `seq` numbers the messages of one attempt; the same number again changes nothing. With
    `waitSeconds` the answer is held back until there is a command that is not in `knownCommands`.
    """

    job_id: Annotated[str, Field(pattern=f"^job_{ULID_PATTERN}$")]
    seq: Annotated[StrictInt, Field(ge=0, le=2**53)]
    at: MomentIn
    type: MessageType
    payload: dict[str, Any] = Field(default_factory=dict)
    wait_seconds: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS)] = 0
    known_commands: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)


class CommandOut(Response):
    """A command that the bot has not settled yet."""

    id: str
    verb: Verb
    payload: dict[str, Any]
    issued_at: MomentOut

    @classmethod
    def of(cls, command: JobCommand) -> Self:
        return cls(
            id=command.id,
            verb=command.verb,
            payload=command.payload,
            issued_at=command.issued_at,
        )


class IngestOut(Response):
    """`repeated`: the message had been taken before. `begun` answers `begin`."""

    accepted: Literal[True] = True
    repeated: bool
    begun: bool | None = None
    commands: list[CommandOut]

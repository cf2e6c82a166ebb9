"""The journal of a recording: its format and its reader (design.md D8).

One attempt (fence) at a job owns one folder, `<work>/<fence>/`: media files that only grow, and
`journal.jsonl`, which describes them in JSON lines that are only appended. All `…_ms` values of
media, captions, gaps and pauses count from the attempt's own `Open.t0_ms`; `at_ms` values and
`t0_ms` are milliseconds since 1970. A process may be killed at any byte: a torn last line is
ignored, and media bytes after the last described segment are a valid, undescribed tail.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from core.errors import MeetbotError
from core.jobs.failures import ExitReason
from core.recordings.recording import Attribution, Isolation, Participant, TrackKind

JOURNAL_NAME: Final = "journal.jsonl"
FORMAT_VERSION: Final = 1

Movement = Literal["participant.join", "participant.leave"]

_log = logging.getLogger(__name__)


class JournalError(MeetbotError):
    """The work folder holds no usable journal; the message says which file and why."""

    code = "internal_error"


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Open(Entry):
    """The first line: whose recording this is and when its clock started."""

    t: Literal["open"] = "open"
    version: int = FORMAT_VERSION
    job_id: str
    fence: int
    t0_ms: float


class ParticipantSeen(Entry):
    """A person, or the newest facts about one."""

    t: Literal["participant"] = "participant"
    id: str
    platform_id: str
    display_name: str
    speaker_label: str
    is_bot: bool = False
    is_host: bool = False

    @classmethod
    def of(cls, participant: Participant) -> Self:
        return cls(**asdict(participant))


class RosterMoved(Entry):
    """`approx`: `at_ms` is the earliest moment at which it can have been."""

    t: Literal["roster"] = "roster"
    type: Movement
    participant_id: str
    display_name: str
    at_ms: float
    approx: bool = False

    @classmethod
    def of(cls, type_: Movement, participant: Participant, at_ms: float) -> Self:
        return cls(
            type=type_,
            participant_id=participant.id,
            display_name=participant.display_name,
            at_ms=at_ms,
        )

    @classmethod
    def left(
        cls, participant: Participant, at_ms: float, late_ms: float, voice_ms: float | None
    ) -> Self:
        """Somebody was found missing at `at_ms`, which may be as much as `late_ms` after they left.

        `voice_ms` is when they were last heard: they were still there.
        """
        earliest = max(at_ms - late_ms, voice_ms or 0.0)
        moved = cls.of("participant.leave", participant, min(at_ms, earliest))
        return moved.model_copy(update={"approx": late_ms > 0})


class StreamOpened(Entry):
    """A media file of this attempt; its name is ours, never the page's."""

    t: Literal["stream"] = "stream"
    stream: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    kind: TrackKind
    participant_id: str | None = None
    start_ms: int = 0


class Attributed(Entry):
    """Who a track belongs to from now on, how that is known, and how sure it is (0-1)."""

    t: Literal["attribution"] = "attribution"
    track_id: str
    participant_id: str
    source: str
    attribution: Attribution
    isolation: Isolation
    confidence: float


class Segment(Entry):
    """`size` bytes at `offset` of a stream, covering `start_ms` to `end_ms`.

    `speech` are the stretches of it that held sound, in the same milliseconds.
    """

    t: Literal["segment"] = "segment"
    stream: str
    seq: int
    offset: int
    size: int
    sha256: str
    start_ms: int
    end_ms: int
    speech: tuple[tuple[int, int], ...] = ()


class GapMarked(Entry):
    """Media that was sent but not received; without a stream it concerns all of them."""

    t: Literal["gap"] = "gap"
    stream: str | None = None
    start_ms: int
    end_ms: int
    reason: str


class PauseMarked(Entry):
    """Nothing was recorded from `start_ms` on; told again with its end when it is over.

    Without an end it lasts to the end of the attempt.
    """

    t: Literal["pause"] = "pause"
    start_ms: int
    end_ms: int | None = None


class Alive(Entry):
    """The bot was in the room until then, whether or not anybody was heard."""

    t: Literal["alive"] = "alive"
    end_ms: int


class ChatSaid(Entry):
    t: Literal["chat"] = "chat"
    at_ms: float
    participant_id: str | None
    display_name: str
    text: str


class CaptionSaid(Entry):
    t: Literal["caption"] = "caption"
    start_ms: int
    end_ms: int
    participant_id: str | None
    display_name: str
    text: str


class Close(Entry):
    """The last line of an attempt that ended by itself."""

    t: Literal["close"] = "close"
    at_ms: float
    exit_reason: ExitReason


AnyEntry = Annotated[
    Open
    | ParticipantSeen
    | RosterMoved
    | StreamOpened
    | Attributed
    | Segment
    | GapMarked
    | PauseMarked
    | Alive
    | ChatSaid
    | CaptionSaid
    | Close,
    Field(discriminator="t"),
]
_ADAPTER: Final[TypeAdapter[AnyEntry]] = TypeAdapter(AnyEntry)


def encode(entry: Entry) -> bytes:
    """One line of the journal, ending in a newline."""
    return entry.model_dump_json(by_alias=True).encode() + b"\n"


@dataclass
class Stream:
    """A media file and what the journal says about it."""

    opened: StreamOpened
    segments: list[Segment] = field(default_factory=list)
    gaps: list[GapMarked] = field(default_factory=list)

    @property
    def described(self) -> int:
        """Bytes of the file that the journal describes."""
        return self.segments[-1].offset + self.segments[-1].size if self.segments else 0

    @property
    def end_ms(self) -> int:
        return max((segment.end_ms for segment in self.segments), default=self.opened.start_ms)


@dataclass
class Journal:
    """One attempt, read back."""

    folder: Path
    opened: Open
    streams: dict[str, Stream] = field(default_factory=dict)
    participants: dict[str, Participant] = field(default_factory=dict)
    roster: list[RosterMoved] = field(default_factory=list)
    attributions: list[Attributed] = field(default_factory=list)
    gaps: list[GapMarked] = field(default_factory=list)
    pauses: list[PauseMarked] = field(default_factory=list)
    chat: list[ChatSaid] = field(default_factory=list)
    captions: list[CaptionSaid] = field(default_factory=list)
    alive_ms: int = 0
    closed: Close | None = None

    @property
    def end_ms(self) -> int:
        """The last moment that is known of this attempt, on its own clock."""
        ends = [self.alive_ms, *(stream.end_ms for stream in self.streams.values())]
        ends += [pause.end_ms or pause.start_ms for pause in self.pauses]
        if self.closed is not None:
            ends.append(round(self.closed.at_ms - self.opened.t0_ms))
        return max(ends)

    def add(self, entry: Entry) -> None:
        """Take one entry into account; entries about unknown streams are refused."""
        if isinstance(entry, StreamOpened):
            self.streams.setdefault(entry.stream, Stream(entry))
        elif isinstance(entry, Segment):
            self.streams[entry.stream].segments.append(entry)
        elif isinstance(entry, GapMarked):
            (self.streams[entry.stream].gaps if entry.stream else self.gaps).append(entry)
        elif isinstance(entry, ParticipantSeen):
            self.participants[entry.id] = Participant(**entry.model_dump(exclude={"t"}))
        elif isinstance(entry, Alive):
            self.alive_ms = max(self.alive_ms, entry.end_ms)
        elif isinstance(entry, Close):
            self.closed = entry
        else:
            self._add_to_list(entry)

    def _add_to_list(self, entry: Entry) -> None:
        if isinstance(entry, RosterMoved):
            self.roster.append(entry)
        elif isinstance(entry, Attributed):
            self.attributions.append(entry)
        elif isinstance(entry, PauseMarked):
            if self.pauses and self.pauses[-1].start_ms == entry.start_ms:
                self.pauses.pop()
            self.pauses.append(entry)
        elif isinstance(entry, ChatSaid):
            self.chat.append(entry)
        elif isinstance(entry, CaptionSaid):
            self.captions.append(entry)


def read_journal(folder: Path) -> Journal:
    """Read the journal of one attempt.

    Raises:
        JournalError: there is none, or its first line is not an `open` entry of this format.
    """
    path = folder / JOURNAL_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        opened = _ADAPTER.validate_json(lines[0])
    except ValidationError as error:
        raise JournalError(f"{path} does not start with an open entry.") from error
    if not isinstance(opened, Open) or opened.version != FORMAT_VERSION:
        raise JournalError(f"{path} is not a journal of format {FORMAT_VERSION}.")
    journal = Journal(folder, opened)
    for number, line in enumerate(lines[1:-1], start=2):
        _read_line(journal, line, number)
    return journal


def _read_line(journal: Journal, line: bytes, number: int) -> None:
    """Lines that cannot be used cost what they describe, never the rest of the recording."""
    try:
        journal.add(_ADAPTER.validate_json(line))
    except (ValidationError, KeyError, json.JSONDecodeError):
        _log.warning("%s: line %d is damaged and ignored", journal.folder / JOURNAL_NAME, number)


def read_journals(work_dir: Path) -> Sequence[Journal]:
    """The journals of all attempts below `work_dir`, oldest first.

    An attempt that died before its first line was complete recorded nothing and is left out.
    """
    folders = (
        sorted(
            (child for child in work_dir.iterdir() if child.name.isdigit() and child.is_dir()),
            key=lambda child: int(child.name),
        )
        if work_dir.is_dir()
        else []
    )
    journals = []
    for folder in folders:
        try:
            journals.append(read_journal(folder))
        except JournalError as error:
            _log.warning("%s", error.message)
    return journals


def known_participants(work_dir: Path) -> Sequence[Participant]:
    """People that earlier attempts met, so that a rejoining bot keeps their ids and labels."""
    known: dict[str, Participant] = {}
    for journal in read_journals(work_dir):
        known.update(journal.participants)
    return tuple(known.values())

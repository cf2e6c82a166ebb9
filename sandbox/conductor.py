"""Runs a script: which sound each peer sends in each frame, captions, chat, and the timeline."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from core.clock import Clock, epoch_ms
from sandbox.messages import Captioned, Said
from sandbox.schemas import Caption, ChatMessage, Utterance
from sandbox.script import FRAMES_PER_SECOND, Script, ScriptedChat, ScriptLine, Speaker
from sandbox.tracks import FrameClock, Sound

log = logging.getLogger(__name__)

# A client with discontinuous transmission sends silence for 200 ms, then one byte every 400 ms.
DTX_HANGOVER: Final = 10
DTX_EVERY: Final = 20
DTX_BYTE: Final = b"\x78"
# The oldest entries of the timeline of a long room are forgotten.
TIMELINE_LIMIT: Final = 5_000
CAPTION_STEP_SECONDS: Final = 0.8


class Cast(Protocol):
    """What the conductor has to know about a scripted peer."""

    id: str
    speaker: Speaker
    muted: bool


@dataclass
class _Spoken:
    line: ScriptLine
    started_at_ms: int
    last_at_ms: int
    done: bool = False


@dataclass(order=True)
class _Cue:
    """Something to announce at a frame of the script."""

    frame: int
    order: int
    caption: tuple[ScriptLine, str, bool] | None = field(compare=False, default=None)
    chat: ScriptedChat | None = field(compare=False, default=None)


class Conductor:
    """Starts with `start()`; before, after a script that does not loop, and between lines: quiet.

    `announce` is called with captions and chat messages, `finished` when a script is over.
    """

    def __init__(
        self,
        script: Script,
        cast: Mapping[str, Cast],
        frames: FrameClock,
        clock: Clock,
        *,
        loop: bool,
        captions: bool,
        announce: Callable[[Said | Captioned], None],
        finished: Callable[[], None],
    ) -> None:
        self._script = script
        self._cast = cast
        self._frames = frames
        self._clock = clock
        self._loop = loop
        self._captions = captions
        self._announce = announce
        self._finished = finished
        self._start: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._spoken: dict[tuple[int, int], _Spoken] = {}
        self._lines = {key: script.lines_of(key) for key in script.speakers}

    def start(self) -> None:
        """Begin with the next frame; does nothing when already begun."""
        if self._task is None:
            self._start = self._frames.now() + 1
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def sound(self, key: str, frame: int) -> Sound:
        """What the peer `key` sends in `frame`, to whichever browser; notes what is spoken."""
        cast = self._cast[key]
        position = self._position(frame)
        if position is not None and not cast.muted:
            cycle, at = position
            for line in self._lines[key]:
                if line.start <= at < line.end:
                    self._note(cycle, line, at)
                    offset = at - line.start
                    return Sound(line.speech.packets[offset], line.speech.levels[offset])
        return self._quiet(key, frame, position)

    def _position(self, frame: int) -> tuple[int, int] | None:
        """Cycle of the script and frame within it."""
        if self._start is None or frame < self._start:
            return None
        cycle, at = divmod(frame - self._start, self._script.frames)
        return (cycle, at) if self._loop or cycle == 0 else None

    def _quiet(self, key: str, frame: int, position: tuple[int, int] | None) -> Sound:
        if not self._cast[key].speaker.dtx:
            return Sound()
        at = position[1] if position else self._script.frames
        since = min((at - line.end for line in self._lines[key] if line.end <= at), default=at)
        if since < DTX_HANGOVER:
            return Sound()
        return Sound(DTX_BYTE if frame % DTX_EVERY == 0 else None)

    def _note(self, cycle: int, line: ScriptLine, at: int) -> None:
        """By the clock that stamps packets: a busy machine sends them later than they are due."""
        first = (self._start or 0) + cycle * self._script.frames + line.start
        due = self._due_ms(first + at - line.start)
        spoken = self._spoken.get((cycle, line.index))
        if spoken is None:
            # Also for who comes in its middle: the sentence began when it did.
            self._spoken[cycle, line.index] = _Spoken(line, self._due_ms(first), due)
            if len(self._spoken) > TIMELINE_LIMIT:
                del self._spoken[next(iter(self._spoken))]
        elif not spoken.done:
            spoken.last_at_ms = due
            spoken.done = at == line.end - 1

    def _due_ms(self, frame: int) -> int:
        return round(self._clock.now().timestamp() * 1000 - self._frames.late(frame) * 1000)

    @property
    def timeline(self) -> tuple[Utterance, ...]:
        """What was really sent so far, by time of beginning."""
        return tuple(self._utterance(spoken) for spoken in self._spoken.values())

    def _utterance(self, spoken: _Spoken) -> Utterance:
        cast = self._cast[spoken.line.speaker]
        speaking = not spoken.done and epoch_ms(self._clock.now()) - spoken.last_at_ms < 1_000
        return Utterance(
            participant_id=cast.id,
            display_name=cast.speaker.display_name,
            text=spoken.line.text,
            started_at_ms=spoken.started_at_ms,
            ended_at_ms=None if speaking else spoken.last_at_ms,
        )

    async def _run(self) -> None:
        """Captions and chat at their frames, then the end of the script."""
        cycle = 0
        while cycle == 0 or self._loop:
            base = (self._start or 0) + cycle * self._script.frames
            ids = {line.index: f"c_{secrets.token_hex(5)}" for line in self._script.lines}
            for cue in sorted(self._cues(cycle)):
                await self._frames.until(base + cue.frame)
                self._give(cue, ids)
            await self._frames.until(base + self._script.frames)
            cycle += 1
        self._finished()

    def _cues(self, cycle: int) -> Iterator[_Cue]:
        if self._captions:
            for line in self._script.lines:
                yield from _caption_cues(line)
        if cycle == 0:
            for chat in self._script.chat:
                yield _Cue(self._script.lines[chat.line].start, -1, chat=chat)

    def _give(self, cue: _Cue, ids: Mapping[int, str]) -> None:
        if cue.caption:
            line, text, final = cue.caption
            cast = self._cast[line.speaker]
            if cast.muted:
                return
            caption = Caption(
                caption_id=ids[line.index],
                participant_id=cast.id,
                display_name=cast.speaker.display_name,
                text=text,
                final=final,
            )
            self._announce(Captioned(caption=caption))
        if cue.chat and not self._cast[cue.chat.speaker].muted:
            cast = self._cast[cue.chat.speaker]
            message = ChatMessage(
                message_id=f"m_{secrets.token_hex(5)}",
                participant_id=cast.id,
                display_name=cast.speaker.display_name,
                text=cue.chat.text,
                at=epoch_ms(self._clock.now()),
            )
            self._announce(Said(message=message))


def _caption_cues(line: ScriptLine) -> Iterator[_Cue]:
    """A growing caption while the sentence is spoken, the whole of it when it is over."""
    words = line.text.split()
    step = round(CAPTION_STEP_SECONDS * FRAMES_PER_SECOND)
    for frame in range(line.start + step, line.end, step):
        share = (frame - line.start) / (line.end - line.start)
        said = " ".join(words[: max(1, round(len(words) * share))])
        yield _Cue(frame, line.index, caption=(line, said, False))
    yield _Cue(line.end, line.index, caption=(line, line.text, True))

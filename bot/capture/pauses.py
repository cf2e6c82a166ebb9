"""The stretches in which nothing is recorded, of anything (LC-06, design.md D15).

A pause is exact to the packet: media belongs to it by the moment at which it was sent, whenever it
arrives. The journal has it from its beginning, so that a process that is killed while paused has
not billed the time after it.
"""

from __future__ import annotations

from typing import Final

from bot.recording.journal import JournalWriter
from core.recordings.journal import PauseMarked
from core.recordings.recording import Span

_OPEN: Final = float("inf")


class Pauses:
    """The pauses of one recording, in ms since 1970, oldest first."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    @property
    def open(self) -> bool:
        """Whether nothing is recorded now."""
        return bool(self._spans) and self._spans[-1][1] == _OPEN

    def begin(self, now_ms: float, t0_ms: float, journal: JournalWriter) -> None:
        """Nothing from now on; the recording started at `t0_ms`."""
        if not self.open:
            self._spans.append((now_ms, _OPEN))
            journal.write(PauseMarked(start_ms=round(now_ms - t0_ms)))

    def end(self, now_ms: float, t0_ms: float, journal: JournalWriter) -> None:
        """Everything again from now on."""
        if self.open:
            start_ms = self._spans[-1][0]
            self._spans[-1] = (start_ms, now_ms)
            journal.write(
                PauseMarked(start_ms=round(start_ms - t0_ms), end_ms=round(now_ms - t0_ms))
            )

    def cover(self, start_ms: float, end_ms: float) -> bool:
        """Whether any part of this time was paused. Most questions are about just now."""
        for since, until in reversed(self._spans):
            if until <= start_ms:
                return False
            if since < end_ms:
                return True
        return False

    def until(self, now_ms: float) -> list[Span]:
        """The pauses up to now, in ms since 1970."""
        return [
            Span(round(since), round(min(until, now_ms)), "paused") for since, until in self._spans
        ]

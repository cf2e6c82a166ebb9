"""Stretches in which the bot was not in the room, as gaps of the whole recording (D10, D15)."""

from __future__ import annotations

from typing import Final

from bot.recording.journal import JournalWriter
from core.recordings.journal import GapMarked
from core.recordings.recording import Span

# Back in the room, and nobody sends: after so long the quiet is the meeting's own.
QUIET_MS: Final = 3000.0


class Outages:
    """One gap after another; each ends with the first media after the bot's return.

    All moments are milliseconds since 1970; `t0_ms` is the start of the recording. A gap is
    journalled when it opens and again when it ends, so that a bot that dies in it leaves it open.
    """

    def __init__(self, journal: JournalWriter, t0_ms: float) -> None:
        self._journal = journal
        self._t0_ms = t0_ms
        self._over: list[Span] = []
        self._since_ms: float | None = None
        self._back_ms: float | None = None
        self._reason = ""

    @property
    def open(self) -> bool:
        return self._since_ms is not None

    def until(self, now_ms: float) -> list[Span]:
        """The gaps up to now, in ms since 1970."""
        if self._since_ms is None or self._since_ms >= now_ms:
            return list(self._over)
        return [*self._over, Span(round(self._since_ms), round(now_ms), self._reason)]

    def begin(self, since_ms: float, reason: str) -> None:
        """Nothing is recorded since then; a gap that is open already goes on."""
        self._back_ms = None
        if self._since_ms is not None:
            return
        self._since_ms, self._reason = max(since_ms, self._t0_ms), reason
        self._mark(self._since_ms)

    def back(self, now_ms: float) -> None:
        """The bot is in the room again and waits for media."""
        if self._since_ms is not None:
            self._back_ms = now_ms

    def look(self, now_ms: float, first_media_ms: float | None) -> None:
        """End the gap with the first media since the return, or with the quiet after it."""
        if self._back_ms is None:
            return
        if first_media_ms is not None:
            self._end(min(first_media_ms, now_ms))
        elif now_ms - self._back_ms >= QUIET_MS:
            self._end(self._back_ms)

    def close(self, now_ms: float) -> None:
        """The recording is over."""
        if self._since_ms is not None:
            self._end(self._back_ms or now_ms)

    def _end(self, at_ms: float) -> None:
        if self._since_ms is None:
            return
        at_ms = max(at_ms, self._since_ms)
        self._mark(at_ms)
        self._over.append(Span(round(self._since_ms), round(at_ms), self._reason))
        self._since_ms = self._back_ms = None

    def _mark(self, end_ms: float) -> None:
        if self._since_ms is None:
            return
        start, end = (round(moment - self._t0_ms) for moment in (self._since_ms, end_ms))
        self._journal.write(GapMarked(start_ms=start, end_ms=end, reason=self._reason))

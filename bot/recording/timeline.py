"""The one timeline of a recording, laid over the journals of all its attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.recordings.journal import Journal, JournalError
from core.recordings.recording import Span


@dataclass(frozen=True)
class Attempt:
    """A journal and where its own clock's zero lies on the recording's, in ms."""

    journal: Journal
    shift_ms: int

    @property
    def end_ms(self) -> int:
        return self.shift_ms + self.journal.end_ms

    @property
    def empty(self) -> bool:
        """It was never in the room: its journal only says how the return of the bot ended."""
        return not self.journal.streams and not self.journal.roster


@dataclass(frozen=True)
class Timeline:
    """`t0_ms` is since 1970; `length_ms` is the length of every speaker's file."""

    t0_ms: float
    length_ms: int
    attempts: tuple[Attempt, ...]

    @property
    def job_id(self) -> str:
        return self.attempts[0].journal.opened.job_id

    @property
    def present(self) -> tuple[Attempt, ...]:
        """The first attempt, and of the others those that were in the room."""
        return self.attempts[:1] + tuple(one for one in self.attempts[1:] if not one.empty)

    def at(self, epoch_ms: float) -> int:
        """A moment (since 1970) in ms of the recording."""
        return round(epoch_ms - self.t0_ms)

    def gaps(self) -> Iterator[Span]:
        """Stretches of the whole recording in which nothing could be recorded."""
        for attempt in self.attempts:
            for gap in attempt.journal.gaps:
                yield Span(
                    attempt.shift_ms + gap.start_ms, attempt.shift_ms + gap.end_ms, gap.reason
                )
        present = self.present
        for before, after in pairwise(present):
            if after.shift_ms > before.end_ms:
                yield Span(before.end_ms, after.shift_ms, "the bot was away between two attempts")

    def pauses(self) -> Iterator[Span]:
        for attempt in self.attempts:
            for pause in attempt.journal.pauses:
                # One that was open when the process died lasts to the end of the attempt.
                end_ms = attempt.journal.end_ms if pause.end_ms is None else pause.end_ms
                yield Span(attempt.shift_ms + pause.start_ms, attempt.shift_ms + end_ms, "paused")


def lay_out(journals: Sequence[Journal]) -> Timeline:
    """Put the attempts, oldest first, on one timeline.

    Raises:
        JournalError: there is none, or they belong to different jobs.
    """
    if not journals:
        raise JournalError("The work folder holds no journal: nothing was recorded there.")
    if len({journal.opened.job_id for journal in journals}) > 1:
        raise JournalError("The work folder holds journals of different jobs.")
    t0_ms = journals[0].opened.t0_ms
    attempts = tuple(
        Attempt(journal, max(0, round(journal.opened.t0_ms - t0_ms))) for journal in journals
    )
    laid_out = Timeline(t0_ms, 0, attempts)
    return replace(laid_out, length_ms=max(attempt.end_ms for attempt in laid_out.present))


def merge(spans: Sequence[Span], join_ms: int = 0) -> tuple[Span, ...]:
    """Spans in order, those that touch (or are nearer than `join_ms`) as one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_ms):
        if merged and span.start_ms - merged[-1].end_ms <= join_ms:
            last = merged[-1]
            merged[-1] = Span(last.start_ms, max(last.end_ms, span.end_ms), last.reason)
        else:
            merged.append(span)
    return tuple(merged)


def covered_ms(spans: Sequence[Span]) -> int:
    """How much time the spans cover together, overlaps counted once."""
    return sum(span.end_ms - span.start_ms for span in merge(spans))

"""What people who watch a recording are shown of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bot.capture.pauses import Pauses
from bot.capture.running import Running
from bot.control import Progress, Speaking
from bot.recording.timeline import covered_ms
from core.clock import from_epoch_ms
from core.recordings.recording import Participant

# A level older than this says nothing about now.
LEVEL_FRESH_MS: Final = 1500.0


def snapshot(
    running: Running | None,
    pauses: Pauses,
    present: Iterable[Participant],
    now_ms: float,
    before_seconds: float,
) -> Progress:
    """The recording as it is at `now_ms` (since 1970).

    Args:
        running: None while it has not begun.
        before_seconds: what earlier attempts at the same job had recorded.
    """
    at = from_epoch_ms(now_ms)
    if running is None:
        return Progress(at, before_seconds, 0)
    free_ms = covered_ms([*running.outages.until(now_ms), *pauses.until(now_ms)])
    # The moment is rounded as pauses and gaps are, so that nothing runs on in an open one.
    recorded_ms = max(0.0, round(now_ms) - running.t0_ms - free_ms)
    return Progress(
        at=at,
        recorded_seconds=before_seconds + recorded_ms / 1000,
        bytes_journalled=running.journal.bytes_written,
        participants=tuple(
            _speaking(running, person, now_ms) for person in present if not person.is_bot
        ),
    )


def _speaking(running: Running, person: Participant, now_ms: float) -> Speaking:
    speaker = running.audio.speakers.get(person.id)
    if speaker is None:
        return Speaking(person.id, person.display_name, None, 0.0)
    fresh = running.t0_ms + speaker.end_ms > now_ms - LEVEL_FRESH_MS
    level = speaker.level if fresh else 0.0
    return Speaking(person.id, person.display_name, level, speaker.end_ms / 1000)

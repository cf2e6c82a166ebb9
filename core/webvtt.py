"""WebVTT: the one writer for captions and transcripts (PL-08, API-74)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cue:
    """One cue; times in milliseconds since the recording began."""

    start_ms: int
    end_ms: int
    speaker: str
    text: str


def webvtt(cues: Iterable[Cue]) -> str:
    """A WebVTT document with one voice span per cue, in the order given."""
    blocks = ["WEBVTT"]
    for cue in cues:
        # A cue of no length is not shown by players.
        end = max(cue.end_ms, cue.start_ms + 1)
        blocks.append(
            f"{_stamp(cue.start_ms)} --> {_stamp(end)}\n<v {_escape(cue.speaker)}>"
            f"{_escape(cue.text)}</v>"
        )
    return "\n\n".join(blocks) + "\n"


def _stamp(ms: int) -> str:
    seconds, millis = divmod(max(ms, 0), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"


def _escape(text: str) -> str:
    """Cue text must not hold markup, a line break (it ends the cue) or an arrow."""
    flat = " ".join(text.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

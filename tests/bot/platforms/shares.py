"""How much of what was said is in the file of who said it, by the files' own sound and the script.

Nothing of the code under test is asked: a file is decoded, its loud moments are laid over the
moments at which the script's speakers spoke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.recordings.recording import Recording
from tests.bot.listening import RATE, decode

WINDOW_MS = 20
# Whatever is this far off in time is where it belongs: sentences begin and end within breaths.
SLACK_MS = 100
LOUD_DB = -45.0
# A client that plays sound by itself keeps some of it in hand: its recording is late as a whole.
LATEST_MS = 400

Moments = NDArray[np.bool_]


@dataclass(frozen=True)
class Shares:
    """Shares of time, 0-1. `right`: of the moments in which somebody speaks, those that are in a
    file of one who does and in no file of anybody else. `kept`: of each person's own speech."""

    right: float
    kept: Mapping[str, float]
    late_ms: int
    # For people, a sign for 100 ms: `#` in the right file, `+` in the wrong one, `-` in none.
    picture: str

    def __str__(self) -> str:
        kept = ", ".join(f"{name} {share:.1%}" for name, share in self.kept.items())
        return (
            f"{self.right:.1%} given to the right speaker; kept of {kept}; {self.late_ms} ms late"
        )


def shares(recording: Recording, voiced: Mapping[str, Sequence[float]]) -> Shares:
    """Compare the recording's files with what was said.

    Args:
        voiced: by platform id, when 20 ms with a person's voice were sent, ms since 1970.
    """
    start = recording.started_at.timestamp() * 1000
    length = max(file.end_offset_ms for file in recording.media) // WINDOW_MS + 1
    names = {one.platform_id: one.display_name for one in recording.participants}
    spoken = {who: np.zeros(length, bool) for who in voiced}
    for who, moments in voiced.items():
        places = [round((at - start) / WINDOW_MS) for at in moments]
        spoken[who][[place for place in places if 0 <= place < length]] = True
    ids = {one.id: one.platform_id for one in recording.participants}
    heard = {who: np.zeros(length, bool) for who in spoken}
    for file in recording.media:
        if file.kind == "per-speaker":
            who = ids[file.participant_id or ""]
            loud = _loud(decode(file.path), length)
            heard[who] = heard.get(who, np.zeros(length, bool)) | loud
    late = _late(np.any([*spoken.values()], axis=0), np.any([*heard.values()], axis=0))
    spoken = {who: np.roll(moments, late) for who, moments in spoken.items()}
    anybody = np.any([*spoken.values()], axis=0)
    quiet = np.zeros(length, bool)
    wrong = np.any([heard[who] & ~_wide(spoken.get(who, quiet)) for who in heard], axis=0)
    found = np.any([_wide(spoken[who]) & _wide(heard[who]) for who in spoken], axis=0)
    right = float(np.sum(anybody & found & ~wrong) / np.sum(anybody))
    kept = {
        names[who]: float(np.sum(moments & _wide(heard[who])) / np.sum(moments))
        for who, moments in spoken.items()
    }
    rows = [f"{names[who]:>16} {_row(spoken.get(who, quiet), heard[who])}" for who in heard]
    return Shares(right, kept, late * WINDOW_MS, "\n".join(rows))


def _loud(sound: NDArray[np.float32], length: int) -> Moments:
    size = RATE * WINDOW_MS // 1000
    whole = np.zeros(length * size, np.float32)
    whole[: min(len(sound), len(whole))] = sound[: len(whole)]
    power = np.mean(np.square(whole.reshape(length, size)), axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)) > LOUD_DB)


def _row(spoken: Moments, heard: Moments) -> str:
    said, kept = _wide(spoken), _wide(heard)
    marks = np.where(heard & ~said, "+", np.where(spoken & ~kept, "-", "."))
    marks = np.where((marks == ".") & heard, "#", marks)
    order = "+-#."
    step = 100 // WINDOW_MS
    return "".join(min(marks[at : at + step], key=order.index) for at in range(0, len(marks), step))


def _late(spoken: Moments, heard: Moments) -> int:
    """By how many windows the files are late, whoever it is that speaks in them."""
    alike = [np.sum(np.roll(spoken, shift) == heard) for shift in range(LATEST_MS // WINDOW_MS)]
    return int(np.argmax(alike))


def _wide(moments: Moments) -> Moments:
    slack = SLACK_MS // WINDOW_MS
    return np.convolve(moments, np.ones(2 * slack + 1), "same") > 0

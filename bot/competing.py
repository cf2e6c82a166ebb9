"""Other companies' notetakers, known by their names (PL-13, LC-30)."""

from __future__ import annotations

import re
from typing import Final

_PATTERNS: Final = {
    "Otter": re.compile(
        r"\botter(?:\.ai|pilot)\b|\botter(?:'s)? (?:assistant|notetaker|pilot)\b", re.I
    ),
    "Fireflies": re.compile(r"\bfireflies(?:\.ai)?\b", re.I),
    "Read": re.compile(r"\bread\.ai\b|\bread (?:ai|assistant|notetaker|meeting notes)\b", re.I),
}


def competing_bot(display_name: str) -> str | None:
    """Which notetaker a participant with this name is: Otter, Fireflies, Read; None: a person."""
    return next((bot for bot, known in _PATTERNS.items() if known.search(display_name)), None)


def is_competing_bot(display_name: str) -> bool:
    """Whether a participant's name is that of a notetaker such as Otter, Fireflies or Read."""
    return competing_bot(display_name) is not None

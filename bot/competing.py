"""Other companies' notetakers, known by their names (PL-13, LC-30)."""

from __future__ import annotations

import re
from typing import Final

_PATTERNS: Final = (
    re.compile(r"\botter(?:\.ai|pilot)\b|\botter(?:'s)? (?:assistant|notetaker|pilot)\b", re.I),
    re.compile(r"\bfireflies(?:\.ai)?\b", re.I),
    re.compile(r"\bread\.ai\b|\bread (?:ai|assistant|notetaker|meeting notes)\b", re.I),
)


def is_competing_bot(display_name: str) -> bool:
    """Whether a participant's name is that of a notetaker such as Otter, Fireflies or Read."""
    return any(pattern.search(display_name) for pattern in _PATTERNS)

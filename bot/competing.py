"""Other companies' notetakers, known by their names (PL-13, LC-30)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_KNOWN: Final = {
    "Otter": re.compile(
        r"\botter(?:\.ai|pilot)\b|\botter(?:'s)? (?:assistant|notetaker|pilot)\b", re.I
    ),
    "Fireflies": re.compile(r"\bfireflies(?:\.ai)?\b", re.I),
    "Read": re.compile(r"\bread\.ai\b|\bread (?:ai|assistant|notetaker|meeting notes)\b", re.I),
}


class Notetakers:
    """Otter, Fireflies and Read, and those that the operator names besides.

    `names` are matched as whole words, in any letter case.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        own = {name.strip(): _whole_words(name.strip()) for name in names if name.strip()}
        self._patterns = {**_KNOWN, **own}

    def name_of(self, display_name: str) -> str | None:
        """Which notetaker somebody with this name is; None: a person."""
        found = (bot for bot, known in self._patterns.items() if known.search(display_name))
        return next(found, None)


def _whole_words(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.I)

"""Text from outside, made fit to be stored and shown."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control characters, and halves of characters that no encoding takes.
UNFIT: Final = frozenset({"Cc", "Cs"})


def plain_text(text: str, limit: int) -> str:
    """`text` in one line of at most `limit` characters, without control characters."""
    kept = (
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in UNFIT
    )
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"

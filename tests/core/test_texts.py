"""Text from outside, made fit to be stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.texts import plain_text

pytestmark = pytest.mark.unit

# Anything that a page can put into a string, halves of characters included.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\n\t words ", "two words"),
        ("a\x00b\x1b[31m", "ab[31m"),
        ("\ud800half", "half"),
        ("Zoë 🎤", "Zoë 🎤"),
        ("x" * 30, "x" * 19 + "…"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert plain_text(text, 20) == expected


@given(ANYTHING)
def test_everything_becomes_storable_and_bounded(text: str) -> None:
    plain = plain_text(text, 100)
    assert "\x00" not in plain
    assert len(plain.encode()) <= 400
    assert len(plain) <= 100
    assert "\n" not in plain

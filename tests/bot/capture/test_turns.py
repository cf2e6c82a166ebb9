"""Whose turn it is on a track of several people (design.md on attribution)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bot.capture.turns import Turns

pytestmark = pytest.mark.unit

FRAME_MS = 20
ADA, BEN = 3_000_000_001, 3_000_000_002


def nobody() -> tuple[int, ...]:
    return ()


def only(source: int) -> Callable[[], tuple[int, ...]]:
    return lambda: (source,)


def test_the_only_source_of_a_packet_has_the_turn() -> None:
    assert Turns().of("slot", [ADA], 0, only(BEN)) == ADA


@pytest.mark.parametrize("seed", range(5))
def test_who_comes_has_the_turn_while_the_one_before_lingers(seed: int) -> None:
    """The order in a header means nothing."""
    draw = random.Random(seed)  # noqa: S311 - a script
    turns = Turns()
    for frame in range(100):
        turns.of("slot", [ADA], frame * FRAME_MS, only(ADA))
    for frame in range(100, 300):
        sources = draw.sample([ADA, BEN], 2)
        # The page still shows the one before, for a third of a second.
        shown = only(ADA) if frame < 115 else only(BEN)
        assert turns.of("slot", sources, frame * FRAME_MS, shown) == BEN


def test_the_page_says_that_the_turn_has_gone_back_to_one_who_lingered() -> None:
    turns = Turns()
    for frame in range(50):
        turns.of("slot", [ADA], frame * FRAME_MS, nobody)
    for frame in range(50, 110):
        turns.of("slot", [ADA, BEN], frame * FRAME_MS, only(BEN))
    assert turns.of("slot", [ADA, BEN], 110 * FRAME_MS, only(ADA)) == ADA


def test_tracks_have_turns_of_their_own() -> None:
    turns = Turns()
    turns.of("one", [ADA], 0, nobody)
    assert turns.of("one", [ADA, BEN], 20, nobody) == BEN
    turns.of("two", [BEN], 0, nobody)
    assert turns.of("two", [ADA, BEN], 20, nobody) == ADA


def test_who_left_the_headers_and_is_back_comes_anew() -> None:
    turns = Turns()
    turns.of("slot", [BEN], 0, nobody)
    assert turns.of("slot", [ADA, BEN], 20, nobody) == ADA
    turns.of("slot", [ADA], 40, nobody)
    for at_ms in range(60, 400, FRAME_MS):
        turns.of("slot", [ADA], at_ms, nobody)
    assert turns.of("slot", [ADA, BEN], 400, nobody) == BEN


def test_a_pause_of_the_track_changes_nothing() -> None:
    """Its last turn still lingers when the next one begins."""
    turns = Turns()
    for frame in range(50):
        turns.of("slot", [ADA], frame * FRAME_MS, nobody)
    assert turns.of("slot", [ADA, BEN], 5_000, nobody) == BEN
    assert turns.of("slot", [BEN, ADA], 5_020, only(ADA)) == BEN


def test_who_comes_together_is_told_apart_by_the_page() -> None:
    assert Turns().of("slot", [ADA, BEN], 0, only(BEN)) == BEN


def test_one_lost_name_is_no_leaving() -> None:
    turns = Turns()
    turns.of("slot", [ADA], 0, nobody)
    turns.of("slot", [ADA, BEN], 20, nobody)
    turns.of("slot", [BEN], 40, nobody)
    assert turns.of("slot", [ADA, BEN], 60, nobody) == BEN

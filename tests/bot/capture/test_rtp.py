"""Counters that wrap, redundant audio, and the offset between two clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.capture.rtp import OffsetEstimator, Unwrapper, unwrap_red

pytestmark = pytest.mark.unit


@given(
    start=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(-5_000, 200_000), max_size=200),
)
def test_a_wrapping_counter_keeps_its_differences(start: int, steps: list[int]) -> None:
    unwrapper = Unwrapper(32)
    first = unwrapper.unwrap(start)
    position = newest = 0
    for step in steps:
        position = newest + step
        newest = max(newest, position)
        assert unwrapper.unwrap((start + position) % 2**32) == first + position


def test_the_sixteen_bit_sequence_wraps_in_both_directions() -> None:
    unwrapper = Unwrapper(16)
    values = [65_534, 65_535, 0, 65_533, 1]
    unwrapped = [unwrapper.unwrap(value) for value in values]
    assert [value - unwrapped[0] for value in unwrapped] == [0, 1, 2, -1, 3]


def _red(blocks: list[tuple[int, bytes]], primary: bytes) -> bytes:
    head = b"".join(
        bytes([0x80 | 111]) + ((back << 10) | len(data)).to_bytes(3, "big") for back, data in blocks
    )
    return head + bytes([111]) + b"".join(data for _, data in blocks) + primary


@given(
    blocks=st.lists(
        st.tuples(st.integers(0, 2**14 - 1), st.binary(min_size=1, max_size=200)), max_size=3
    ),
    primary=st.binary(min_size=1, max_size=400),
)
def test_red_gives_back_every_block(blocks: list[tuple[int, bytes]], primary: bytes) -> None:
    found = unwrap_red(_red(blocks, primary))
    assert found is not None
    assert [(block.back, block.payload) for block in found] == [*blocks, (0, primary)]


@given(st.binary(max_size=60))
def test_any_bytes_are_unwrapped_or_refused(payload: bytes) -> None:
    found = unwrap_red(payload)
    assert found is None or sum(len(block.payload) for block in found) <= len(payload)


@given(st.lists(st.floats(0, 80), min_size=300, max_size=300))
def test_jitter_never_lowers_the_offset(jitter: list[float]) -> None:
    jitter[10] = 0.0
    estimator = OffsetEstimator()
    for place, late in enumerate(jitter):
        estimator.add(5_000 + place * 20 + late, place * 20)
    assert estimator.current == pytest.approx(5_000)


def test_the_window_lets_a_slow_clock_drift() -> None:
    estimator = OffsetEstimator()
    for place in range(20_000):
        estimator.add(1_000 + place * 20 * 1.0001, place * 20)
    drifted = 20_000 * 20 * 0.0001
    assert estimator.current == pytest.approx(1_000 + drifted, abs=3.5)

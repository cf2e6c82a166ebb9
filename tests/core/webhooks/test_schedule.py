"""When a delivery is tried again (D14, WH-22, WH-23)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.webhooks.schedule import MAX_ATTEMPTS, next_delay

pytestmark = pytest.mark.unit


def test_the_delays_without_jitter() -> None:
    delays = [next_delay(attempt, 10, lambda: 0.5) for attempt in range(1, 7)]
    assert delays == pytest.approx([10, 60, 360, 2160, 12_960, None])
    assert MAX_ATTEMPTS == 6


@given(st.integers(1, 5), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_a_fifth(attempt: int, drawn: float) -> None:
    middle = next_delay(attempt, 10, lambda: 0.5)
    jittered = next_delay(attempt, 10, lambda: drawn)
    assert middle is not None
    assert jittered is not None
    assert 0.8 * middle <= jittered * 1.000001
    assert jittered <= 1.2 * middle * 1.000001

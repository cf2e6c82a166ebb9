"""The table of moves, over every pair (LC-01, LC-02)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidState
from core.jobs.lifecycle import MOVES, TERMINAL, Event, Status, advance

pytestmark = pytest.mark.unit

ALL_PAIRS = [(status, event) for status in Status for event in Event]
# Written down a second time, from requirements.md section 2A: the allowed next statuses.
ALLOWED_NEXT = {
    "queued": {"joining", "failed", "cancelled"},
    "joining": {"entering_lobby", "in_meeting", "failed", "cancelled"},
    "entering_lobby": {"in_meeting", "joining", "failed", "cancelled"},
    "in_meeting": {"recording", "finalizing", "failed", "cancelled"},
    # A pause keeps the status (LC-05).
    "recording": {"recording", "in_meeting", "finalizing", "failed"},
    "finalizing": {"completed", "failed", "cancelled"},
    "completed": set(),
    "failed": set(),
    "cancelled": set(),
}


def test_there_are_exactly_the_nine_statuses() -> None:
    """LC-01."""
    assert {status.value for status in Status} == set(ALLOWED_NEXT)
    assert {status.value for status in TERMINAL} == {"completed", "failed", "cancelled"}


@pytest.mark.parametrize(("status", "event"), ALL_PAIRS, ids=lambda value: value.value)
def test_every_pair_moves_as_the_catalogue_allows_or_is_refused(
    status: Status, event: Event
) -> None:
    """LC-02."""
    if (status, event) in MOVES:
        assert advance(status, event).value in ALLOWED_NEXT[status.value]
    else:
        with pytest.raises(InvalidState, match=status.value):
            advance(status, event)


def test_every_allowed_next_status_is_reachable_by_some_event() -> None:
    reached = {
        status.value: {to.value for (origin, _), to in MOVES.items() if origin is status}
        for status in Status
    }
    assert reached == ALLOWED_NEXT


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_no_sequence_of_events_leaves_a_terminal_status(events: list[Event]) -> None:
    status = Status.QUEUED
    ended_as: Status | None = None
    for event in events:
        try:
            status = advance(status, event)
        except InvalidState:
            continue
        assert ended_as is None
        ended_as = status if status.terminal else None

"""What `make faults` plays is a function of its seed, and what came out is never lost (D10)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tests.faults import inject
from tests.faults.plan import DEADLY, HTTP_ONE_OF, Fault, plan
from tests.faults.report import Log, Spread, replay, show, summary_of
from tests.faults.rounds import Result

pytestmark = pytest.mark.unit


def test_a_round_is_the_same_whenever_it_is_played() -> None:
    rounds = [plan(7, number) for number in range(100)]
    assert [plan(7, number) for number in reversed(range(100))] == rounds[::-1]
    assert [plan(8, number) for number in range(100)] != rounds


def test_every_fault_has_its_turn_and_a_quarter_goes_over_http() -> None:
    rounds = [plan(3, number) for number in range(100 * len(Fault))]
    assert set(Counter(round_.fault for round_ in rounds).values()) == {100}
    over_http = [round_ for round_ in rounds if round_.over_http]
    assert len(over_http) * HTTP_ONE_OF == len(rounds)
    assert {round_.fault for round_ in over_http} >= DEADLY


def test_what_other_rounds_do_to_the_product_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two at once: a database that stands still delays both."""
    struck = [
        ("job_1", Fault.DATABASE, 100.0),
        ("job_2", Fault.RECEIVER, 90.0),
        ("job_2", Fault.STORAGE, 300.0),
    ]
    monkeypatch.setattr(inject, "_struck", struck)
    assert inject.borne_seconds("job_1", since=95, until=200) == 10
    assert inject.borne_seconds("job_2", since=95, until=200) == 15
    assert inject.borne_seconds("job_2", since=200, until=400) == 0
    # What lasts into a round, or ended just before it, counts as its own.
    assert inject.struck(Fault.RECEIVER, since=104)
    assert not inject.struck(Fault.RECEIVER, since=150)
    assert inject.unstored_seconds(307) == 7
    assert inject.unstored_seconds(318) == inject.OUTAGE_SECONDS
    assert inject.unstored_seconds(330) == 0


def test_of_measured_values_the_spread_names_those_that_occurred() -> None:
    values = [None, *(float(value) for value in range(1, 21))]
    assert Spread.of(values, 1) == Spread(20, 10.0, 18.0, 20.0)
    assert Spread.of([0.26], 1) == Spread(1, 0.3, 0.3, 0.3)
    assert Spread.of([None], 1) is None


def test_a_run_that_was_broken_off_goes_on_in_the_same_log(tmp_path: Path) -> None:
    first = Log(5, tmp_path)
    first.add(Result(plan(5, 1), job_id="job_1", back_seconds=3.0, lost_ms=700.0))
    first.add(Result(plan(5, 0), job_id="job_0", violations=["the bot never came back"]))
    again = Log(5, tmp_path)
    again.add(Result(plan(5, 0), job_id="job_2", back_seconds=5.0, gaps=[{"startMs": 1}]))
    assert [(one.round, one.job_id) for one in again.read()] == [
        (plan(5, 0), "job_2"),
        (plan(5, 1), "job_1"),
    ]
    summary = again.sum_up()
    assert (summary["rounds"], summary["violations"]) == (2, 0)
    assert summary["all"]["backSeconds"] == {"count": 2, "median": 3.0, "p90": 5.0, "most": 5.0}
    assert (tmp_path / "faults-5.json").exists()


def test_what_failed_says_how_to_play_it_again() -> None:
    result = Result(plan(5, 9), job_id="job_1", violations=["2 bots were in the room at once"])
    assert replay(result).endswith("make faults SEED=5 FROM=9 ROUNDS=1")
    console = Console(width=150, record=True, quiet=True)
    show(summary_of([result]), console)
    assert summary_of([result])["faults"][result.round.fault]["violations"] == 1

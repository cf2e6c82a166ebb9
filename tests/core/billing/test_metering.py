"""The golden table of section 7, and the rule behind it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.billing.metering import Charge, Recorded, charge
from core.jobs.failures import BILLED_WHEN_RECORDED, FailureCode
from core.prices import Prices

pytestmark = pytest.mark.unit

PRICES = Prices()
# seconds, billed, hours, amount, add-on
GOLDEN = [
    (0, False, "0", "0", "0"),
    (59, False, "0", "0", "0"),
    (60, True, "0.017", "0.005", "0.002"),
    (66, True, "0.018", "0.005", "0.002"),
    (90, True, "0.025", "0.008", "0.003"),
    (120, True, "0.033", "0.010", "0.003"),
    (600, True, "0.167", "0.050", "0.017"),
    (3600, True, "1.000", "0.300", "0.100"),
    (4253, True, "1.181", "0.354", "0.118"),
    (14400, True, "4.000", "1.200", "0.400"),
    (60000, True, "16.667", "5.000", "1.667"),
]


def live(seconds: int | str, **changes: object) -> Charge:
    recorded = Recorded(seconds=Decimal(seconds), livemode=True, **changes)  # type: ignore[arg-type]
    return charge(recorded, PRICES)


@pytest.mark.parametrize(("seconds", "billed", "hours", "amount", "addon"), GOLDEN)
def test_golden_table(seconds: int, billed: bool, hours: str, amount: str, addon: str) -> None:
    """BL-04, BL-05, BL-06, BL-07, BL-15, BL-30."""
    got = live(seconds, transcribed=True)
    assert got == Charge(
        seconds=seconds,
        billed=billed,
        hours_billed=Decimal(hours),
        amount_usd=Decimal(amount),
        transcription_hours_billed=Decimal(hours),
        transcription_amount_usd=Decimal(addon),
    )


def test_hours_first_differs_from_seconds_first_in_797_cases() -> None:
    """BL-06: first at 66 s; we follow hours-first in every one of them."""
    thousandth = Decimal("0.001")
    different = []
    for seconds in range(60, 14_401):
        by_seconds = (Decimal(seconds) * PRICES.recording / 3600).quantize(
            thousandth, ROUND_HALF_UP
        )
        hours = (Decimal(seconds) / 3600).quantize(thousandth, ROUND_HALF_UP)
        got = live(seconds)
        assert got.hours_billed == hours
        assert got.amount_usd == (hours * PRICES.recording).quantize(thousandth, ROUND_HALF_UP)
        if got.amount_usd != by_seconds:
            different.append(seconds)
    assert (len(different), different[0]) == (797, 66)


def test_parts_of_a_second_are_floored() -> None:
    """BL-03."""
    assert live("4253.9").seconds == 4253
    assert live("59.999").billed is False


@pytest.mark.parametrize("code", FailureCode, ids=lambda code: code.value)
def test_failures_are_billed_only_for_the_two_partial_recordings(code: FailureCode) -> None:
    """FC-04, FC-05, FC-06, BL-09."""
    got = live(600, failure_code=code)
    assert got.billed is (code in BILLED_WHEN_RECORDED)
    assert got.seconds == 600


def test_test_mode_is_never_billed() -> None:
    """BL-10."""
    got = charge(Recorded(seconds=Decimal(600), livemode=False, transcribed=True), PRICES)
    assert got == Charge(seconds=600, billed=False)


def test_without_our_transcript_the_add_on_costs_nothing() -> None:
    """BL-15, BL-16."""
    assert live(4253).transcription_amount_usd == 0


@given(st.integers(0, 86_400), st.integers(0, 86_400))
def test_longer_never_costs_less(first: int, second: int) -> None:
    shorter, longer = sorted((first, second))
    assert live(shorter).amount_usd <= live(longer).amount_usd

"""One configuration object for all prices, and what it refuses (BL-01, BL-27)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError

from core.prices import PriceChange, PriceList, Prices
from core.settings import Settings

pytestmark = pytest.mark.unit


def test_prices_are_those_of_the_table() -> None:
    """BL-01."""
    prices = PriceList()
    assert (prices.recording, prices.transcription) == (Decimal("0.30"), Decimal("0.10"))
    assert prices.STORAGE == prices.CALENDAR == prices.OWN_PROVIDER == 0
    assert Decimal("5.000") == prices.SIGNUP_CREDIT
    assert prices.free_hours_per_month == 0
    assert Settings().billing.prices == prices


def test_the_footer_has_its_stamp() -> None:
    """BL-27."""
    assert PriceList(verified_on=date(2026, 5, 9)).stamp == "prices last verified 2026-05-09"


def raised(effective_on: date, **changes: Decimal) -> PriceList:
    return PriceList(
        change=PriceChange(announced_on=date(2026, 1, 1), effective_on=effective_on, **changes)
    )


@pytest.mark.parametrize("what", ["recording", "transcription"])
def test_an_increase_needs_sixty_days_of_notice(what: str) -> None:
    """BL-27."""
    with pytest.raises(ValidationError, match="2026-03-02 or later"):
        raised(date(2026, 3, 1), **{what: Decimal("0.35")})
    assert raised(date(2026, 3, 2), **{what: Decimal("0.35")}).change is not None


def test_a_decrease_may_come_at_once() -> None:
    prices = raised(date(2026, 1, 1), recording=Decimal("0.25"))
    assert prices.at(datetime(2026, 1, 1, tzinfo=UTC)) == Prices(Decimal("0.25"), Decimal("0.10"))


def test_new_prices_apply_from_the_beginning_of_their_day() -> None:
    prices = raised(date(2026, 3, 2), recording=Decimal("0.35"))
    assert prices.at(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)).recording == Decimal("0.30")
    assert prices.at(datetime(2026, 3, 2, tzinfo=UTC)).recording == Decimal("0.35")


def test_prices_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field is a variable, and none is a binary float (CV-14)."""
    monkeypatch.setenv("MEETBOT_BILLING__PRICES__RECORDING", "0.29")
    monkeypatch.setenv("MEETBOT_BILLING__PRICES__FREE_HOURS_PER_MONTH", "10")
    monkeypatch.setenv("MEETBOT_BILLING__PRICES__CHANGE__ANNOUNCED_ON", "2026-01-01")
    monkeypatch.setenv("MEETBOT_BILLING__PRICES__CHANGE__EFFECTIVE_ON", "2026-03-02")
    monkeypatch.setenv("MEETBOT_BILLING__PRICES__CHANGE__RECORDING", "0.31")
    prices = Settings().billing.prices
    assert prices.recording == Decimal("0.29")
    assert prices.free_hours_per_month == 10
    assert prices.at(datetime(2026, 4, 1, tzinfo=UTC)).recording == Decimal("0.31")


def test_the_gate_is_there_where_stripe_is_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever runs this for themselves is never locked out."""
    assert Settings().billing.gated is False
    monkeypatch.setenv("MEETBOT_BILLING__STRIPE_KEY", "sk_test_1")
    assert Settings().billing.gated is True
    monkeypatch.setenv("MEETBOT_BILLING__ENABLED", "false")
    assert Settings().billing.gated is False

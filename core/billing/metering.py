"""What a recording costs: pure, decimal, thousandths of an hour, half-up (CV-14, BL-03 to 07)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final

from core.jobs.failures import BILLED_WHEN_RECORDED, FailureCode
from core.prices import Prices

THOUSANDTH: Final = Decimal("0.001")
SECONDS_PER_HOUR: Final = Decimal(3600)
# Below this nothing is billed, on success and on failure (BL-07).
BILLED_FROM_SECONDS: Final = 60
NOTHING: Final = Decimal("0.000")


@dataclass(frozen=True)
class Recorded:
    """What there is to bill. `seconds` leaves out pauses, gaps and the lobby."""

    seconds: Decimal
    livemode: bool
    failure_code: FailureCode | None = None
    # Our own add-on made a transcript (BL-15); with the customer's provider it is free (BL-16).
    transcribed: bool = False


@dataclass(frozen=True)
class Charge:
    """`seconds` is true even when nothing is billed (BL-04).

    `hours_billed` leaves out `free_hours`, what the month's free hours covered (BL-14). `prices`
    are those that it was multiplied with.
    """

    seconds: int
    billed: bool
    hours_billed: Decimal = NOTHING
    amount_usd: Decimal = NOTHING
    transcription_hours_billed: Decimal = NOTHING
    transcription_amount_usd: Decimal = NOTHING
    free_hours: Decimal = NOTHING
    prices: Prices = field(default=Prices(), compare=False)


def charge(recorded: Recorded, prices: Prices, *, free_hours_left: Decimal = NOTHING) -> Charge:
    """The charge of one job.

    Args:
        free_hours_left: what the team has left of this month's free hours.
    """
    seconds = int(recorded.seconds.to_integral_value(ROUND_FLOOR))
    if not _billable(seconds, recorded):
        return Charge(seconds=seconds, billed=False, prices=prices)
    recorded_hours = hours(seconds)
    free = min(recorded_hours, max(free_hours_left, NOTHING))
    billed_hours = recorded_hours - free
    # Free hours are hours of recording; the add-on has none.
    addon_hours = recorded_hours if recorded.transcribed else NOTHING
    return Charge(
        seconds=seconds,
        billed=True,
        hours_billed=billed_hours,
        # The rounded hours are what the invoice multiplies, so they come first (BL-05).
        amount_usd=thousandths(billed_hours * prices.recording),
        transcription_hours_billed=addon_hours,
        transcription_amount_usd=thousandths(addon_hours * prices.transcription),
        free_hours=free,
        prices=prices,
    )


def hours(seconds: int) -> Decimal:
    """Whole seconds as thousandths of an hour."""
    return thousandths(seconds / SECONDS_PER_HOUR)


def thousandths(value: Decimal) -> Decimal:
    return value.quantize(THOUSANDTH, ROUND_HALF_UP)


def _billable(seconds: int, recorded: Recorded) -> bool:
    if not recorded.livemode or seconds < BILLED_FROM_SECONDS:
        return False
    return recorded.failure_code is None or recorded.failure_code in BILLED_WHEN_RECORDED

"""What we charge: one configuration object that metering, gate, Stripe and pages read (BL-01)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Every team starts with it, once (BL-11).
SIGNUP_CREDIT: Final = Decimal("5.000")
# Customers hear of an increase at least so long before it (BL-27).
NOTICE: Final = timedelta(days=60)

Dollars = Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=3)]


@dataclass(frozen=True)
class Prices:
    """Dollars per hour, as they apply to one usage event."""

    recording: Decimal = Decimal("0.30")
    transcription: Decimal = Decimal("0.10")


class PriceChange(BaseModel):
    """Other prices from the beginning (UTC) of a day on; what is not named stays."""

    model_config = ConfigDict(frozen=True)

    announced_on: date
    effective_on: date
    recording: Dollars | None = None
    transcription: Dollars | None = None


class PriceList(BaseModel):
    """Dollars per hour. Storage, calendars and transcription with the customer's own key are free.

    `verified_on` is the stamp of the pricing page's footer.
    """

    model_config = ConfigDict(frozen=True)

    STORAGE: ClassVar[Decimal] = Decimal(0)
    CALENDAR: ClassVar[Decimal] = Decimal(0)
    OWN_PROVIDER: ClassVar[Decimal] = Decimal(0)
    SIGNUP_CREDIT: ClassVar[Decimal] = SIGNUP_CREDIT

    recording: Dollars = Decimal("0.30")
    transcription: Dollars = Decimal("0.10")
    # Recorded hours that a team has free in each calendar month (UTC), before its credit (BL-14).
    free_hours_per_month: Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=3)] = Decimal(
        0
    )
    verified_on: date = date(2026, 11, 25)
    change: PriceChange | None = None

    @model_validator(mode="after")
    def _announced_in_time(self) -> Self:
        change = self.change
        if change is None:
            return self
        pairs = (
            (change.recording, self.recording),
            (change.transcription, self.transcription),
        )
        rises = any(new is not None and new > old for new, old in pairs)
        if rises and change.effective_on - change.announced_on < NOTICE:
            raise ValueError(
                f"A price may rise {NOTICE.days} days after it was announced at the earliest: "
                f"announced_on is {change.announced_on}, so effective_on must be "
                f"{change.announced_on + NOTICE} or later."
            )
        return self

    def at(self, moment: datetime) -> Prices:
        """The prices that apply then."""
        change = self.change
        if change is None or moment.astimezone(UTC).date() < change.effective_on:
            return Prices(self.recording, self.transcription)
        return Prices(
            self.recording if change.recording is None else change.recording,
            self.transcription if change.transcription is None else change.transcription,
        )

    @property
    def stamp(self) -> str:
        """What the pricing page's footer says (BL-27)."""
        return f"prices last verified {self.verified_on.isoformat()}"

"""Usage on the wire: snake_case where the requirements fix it (CV-02, API-81)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field

from api.schemas.wire import MomentOut, Response, Thousandths
from core.billing.models import UsageEvent, UsageKind
from core.billing.summary import Summary, Totals


class TotalsOut(BaseModel):
    """Of a stretch of time; `hoursBilled` and `amountUsd` mirror the fields before them."""

    bots: int
    seconds: int
    hours_billed: Thousandths
    hours_billed_mirror: Thousandths = Field(alias="hoursBilled")
    amount_usd: Thousandths
    amount_usd_mirror: Thousandths = Field(alias="amountUsd")

    @classmethod
    def of(cls, totals: Totals) -> Self:
        return cls.model_validate(
            {
                "bots": totals.bots,
                "seconds": totals.seconds,
                "hours_billed": totals.hours_billed,
                "hoursBilled": totals.hours_billed,
                "amount_usd": totals.amount_usd,
                "amountUsd": totals.amount_usd,
            }
        )


class UsageSummaryOut(Response):
    """Today and the calendar month (UTC), what is left of the credit, and the next invoice.

    `creditRemainingHours` is what the credit pays for at the team's price, rounded down.
    """

    today: TotalsOut
    month_to_date: TotalsOut
    credit_granted_usd: Thousandths
    credit_remaining_usd: Thousandths
    credit_remaining_hours: Thousandths
    current_invoice_estimate_usd: Thousandths
    period_start: MomentOut
    period_end: MomentOut

    @classmethod
    def of(cls, summary: Summary, credit_hours: Thousandths) -> Self:
        return cls(
            today=TotalsOut.of(summary.today),
            month_to_date=TotalsOut.of(summary.month_to_date),
            credit_granted_usd=summary.credit_granted_usd,
            credit_remaining_usd=summary.credit_remaining_usd,
            credit_remaining_hours=credit_hours,
            current_invoice_estimate_usd=summary.invoice_estimate_usd,
            period_start=summary.period_start,
            period_end=summary.period_end,
        )


class UsageEventOut(BaseModel):
    """One finished bot run, or one transcript of ours (BL-02).

    `revision` is 0 for a recording and counts a job's transcripts.
    """

    id: str
    event: Literal["bot.usage_recorded"] = "bot.usage_recorded"
    job_id: str
    kind: UsageKind
    revision: int
    seconds: int
    hours_billed: Thousandths
    amount_usd: Thousandths
    transcription_hours_billed: Thousandths
    transcription_amount_usd: Thousandths
    billed: bool
    livemode: bool
    recorded_at: MomentOut

    @classmethod
    def of(cls, event: UsageEvent) -> Self:
        """The public view of a row; a column is never public by accident."""
        return cls.model_validate(
            {name: getattr(event, name) for name in cls.model_fields if name != "event"}
        )


class UsageEventsPage(Response):
    """A page of usage events, newest first; `nextCursor` is null on the last one (CV-13)."""

    data: list[UsageEventOut]
    next_cursor: str | None

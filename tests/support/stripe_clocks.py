"""Stripe's test clocks in the replica: frozen time for a customer, and the invoices of its months.

As Stripe does it: an invoice is drawn as a draft when its period ends, finalized an hour later, and
has the usage of its period that was told until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from core.billing.credit import month_after, month_of

FINALIZED_AFTER: Final = timedelta(hours=1)
# Stripe advances a clock by two intervals of its shortest subscription at once.
MOST_MONTHS: Final = 2

# Of a customer, from a moment to another: what its metered usage costs in dollars.
UsageCost = Callable[[str, datetime, datetime], Decimal]


@dataclass
class StripeClock:
    id: str
    frozen: datetime
    name: str | None = None
    customers: list[str] = field(default_factory=list)
    target: datetime | None = None

    def told(self) -> dict[str, Any]:
        advancing = {"target_frozen_time": _seconds(self.target)} if self.target else None
        return {
            "id": self.id,
            "object": "test_helpers.test_clock",
            "created": _seconds(self.frozen),
            "deletes_after": _seconds(self.frozen + timedelta(days=30)),
            "frozen_time": _seconds(self.frozen),
            "livemode": False,
            "name": self.name,
            "status": "advancing" if self.target else "ready",
            "status_details": {"advancing": advancing} if advancing else {},
        }


class StripeClocks:
    """All clocks; `number` makes ids, `cost` and `credit` say what an invoice has to collect."""

    def __init__(
        self,
        number: Callable[[str], str],
        cost: UsageCost,
        credit: Callable[[str], Decimal],
    ) -> None:
        self._number, self._cost, self._credit = number, cost, credit
        self._clocks: dict[str, StripeClock] = {}
        self._invoices: dict[str, list[dict[str, Any]]] = {}

    def create(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        customer = fields.get("customer")
        clock = StripeClock(
            self._number("clock"),
            datetime.fromtimestamp(fields["frozen_time"], UTC),
            fields.get("name"),
            [customer] if customer else [],
        )
        self._clocks[clock.id] = clock
        return clock.told()

    def read(self, clock_id: str) -> dict[str, Any]:
        """Whoever asks finds that the clock has arrived.

        Raises:
            ValueError: there is no such clock.
        """
        if clock_id not in self._clocks:
            raise ValueError(f"No such test clock: '{clock_id}'")
        clock = self._clocks[clock_id]
        if clock.target is not None:
            self._arrive(clock, clock.target)
        return clock.told()

    def advance(self, clock_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to advance.

        Raises:
            ValueError: there is no such clock, it is on its way, or the time cannot be.
        """
        if clock_id not in self._clocks:
            raise ValueError(f"No such test clock: '{clock_id}'")
        clock = self._clocks[clock_id]
        target = datetime.fromtimestamp(fields["frozen_time"], UTC)
        if clock.target is not None:
            raise ValueError("The test clock is advancing; wait until it is ready.")
        if target <= clock.frozen:
            raise ValueError("frozen_time must be after the test clock's current frozen time.")
        farthest = clock.frozen
        for _ in range(MOST_MONTHS):
            farthest = month_after(month_of(farthest)) + (farthest - month_of(farthest))
        if target > farthest:
            raise ValueError("frozen_time cannot be more than two intervals in the future.")
        clock.target = target
        return clock.told()

    def now_of(self, customer: str) -> datetime | None:
        """The customer's frozen time, if it is on a clock."""
        frozen = (c.frozen for c in self._clocks.values() if customer in c.customers)
        return next(frozen, None)

    def invoices(self, customer: str) -> list[dict[str, Any]]:
        """Newest first."""
        return self._invoices.get(customer, [])[::-1]

    def _arrive(self, clock: StripeClock, target: datetime) -> None:
        for customer in clock.customers:
            made = self._invoices.setdefault(customer, [])
            end = month_after(month_of(clock.frozen))
            while end <= target:
                made.append(self._draft(customer, month_of(end - FINALIZED_AFTER), end))
                end = month_after(end)
            for invoice in made:
                ended = datetime.fromtimestamp(invoice["period_end"], UTC)
                if invoice["status"] == "draft" and target >= ended + FINALIZED_AFTER:
                    self._finalize(customer, invoice, len(made))
        clock.frozen, clock.target = target, None

    def _draft(self, customer: str, start: datetime, end: datetime) -> dict[str, Any]:
        return {
            "id": self._number("in"),
            "object": "invoice",
            "customer": customer,
            "status": "draft",
            "number": None,
            "created": _seconds(end),
            "period_start": _seconds(start),
            "period_end": _seconds(end),
            "subtotal": 0,
            "total": 0,
            "amount_remaining": 0,
            "invoice_pdf": None,
            "hosted_invoice_url": None,
        }

    def _finalize(self, customer: str, invoice: dict[str, Any], number: int) -> None:
        """Usage is counted now; credit is taken off it first, in the order of the invoices."""
        start, end = (
            datetime.fromtimestamp(invoice[name], UTC) for name in ("period_start", "period_end")
        )
        cents = (self._cost(customer, start, end) * 100).quantize(Decimal(1), ROUND_HALF_UP)
        earlier = (i["subtotal"] - i["total"] for i in self._invoices[customer])
        left = int(self._credit(customer) * 100) - sum(earlier)
        total = max(int(cents) - max(left, 0), 0)
        page = f"https://stripe.example/{invoice['id']}"
        invoice.update(
            status="open" if total else "paid",
            number=f"R-{number:04}",
            subtotal=int(cents),
            total=total,
            amount_remaining=total,
            invoice_pdf=f"{page}.pdf",
            hosted_invoice_url=page,
        )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())

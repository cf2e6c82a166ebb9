"""What we ask of who collects the money: one interface, Stripe or nobody behind it."""

# ruff: noqa: ARG002 - nobody uses none of the arguments

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from core.errors import BadInput, NotFound
from core.prices import Prices

ABSENT: Final = (
    "This installation does not collect money: set MEETBOT_BILLING__STRIPE_KEY to use Stripe."
)


@dataclass(frozen=True)
class Customer:
    """A team as Stripe gets to know it. `reference` is the same for the same customer."""

    reference: str
    team_id: str
    name: str


@dataclass(frozen=True)
class Subscription:
    id: str
    started_at: datetime


@dataclass(frozen=True)
class MeterReport:
    """Units of a meter, booked at a moment. `identifier` makes it count once."""

    event_name: str
    identifier: str
    customer_id: str
    value: int
    booked_at: datetime


@dataclass(frozen=True)
class Invoice:
    """As Stripe made it. `pdf_url` and `page_url` are there once it is finalized."""

    id: str
    number: str | None
    status: str
    total_usd: Decimal
    due_usd: Decimal
    created_at: datetime
    period_start: datetime
    period_end: datetime
    pdf_url: str | None
    page_url: str | None


@dataclass(frozen=True)
class Notice:
    """An event that Stripe tells of, its signature checked."""

    id: str
    type: str
    created_at: datetime
    object: Mapping[str, Any]
    previous: Mapping[str, Any]


class Payments(Protocol):
    """All of it raises `PaymentServiceError` when Stripe does not do it."""

    @property
    def collects(self) -> bool:
        """Whether there is somebody to collect the money."""
        ...

    async def create_customer(self, customer: Customer) -> str: ...

    async def grant_credit(self, customer_id: str, entry_id: str, usd: Decimal) -> str:
        """Credit for the customer's invoices, once per entry of our ledger."""
        ...

    async def subscribe(self, customer_id: str, reference: str, prices: Prices) -> Subscription:
        """Have the customer's metered usage invoiced every calendar month, at these prices."""
        ...

    async def change_prices(self, subscription_id: str, prices: Prices) -> None: ...

    async def report(self, report: MeterReport) -> None:
        """Add to a meter. One that Stripe has already counts as done."""
        ...

    async def metered(
        self, customer_id: str, event_name: str, start: datetime, end: datetime
    ) -> int:
        """What a meter has of a customer in a stretch of whole minutes, in units."""
        ...

    async def portal_url(self, customer_id: str, return_url: str) -> str: ...

    async def setup_url(self, customer_id: str, return_url: str) -> str:
        """Where a person adds a card or a mandate."""
        ...

    async def invoices(
        self, customer_id: str, *, limit: int, after: str | None
    ) -> Sequence[Invoice]:
        """Newest first, those after the invoice `after`."""
        ...

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        """Check the signature of an event and read it (AU-19).

        Raises:
            BadInput: it was not signed with our secret within the last five minutes.
        """
        ...

    async def close(self) -> None: ...


class NoPayments:
    """For who runs meetbot without Stripe: nothing is collected, and nothing is sent anywhere."""

    collects: Final = False

    async def create_customer(self, customer: Customer) -> str:
        raise NotFound(ABSENT)

    async def grant_credit(self, customer_id: str, entry_id: str, usd: Decimal) -> str:
        raise NotFound(ABSENT)

    async def subscribe(self, customer_id: str, reference: str, prices: Prices) -> Subscription:
        raise NotFound(ABSENT)

    async def change_prices(self, subscription_id: str, prices: Prices) -> None:
        raise NotFound(ABSENT)

    async def report(self, report: MeterReport) -> None:
        raise NotFound(ABSENT)

    async def metered(
        self, customer_id: str, event_name: str, start: datetime, end: datetime
    ) -> int:
        return 0

    async def portal_url(self, customer_id: str, return_url: str) -> str:
        raise NotFound(ABSENT)

    async def setup_url(self, customer_id: str, return_url: str) -> str:
        raise NotFound(ABSENT)

    async def invoices(
        self, customer_id: str, *, limit: int, after: str | None
    ) -> Sequence[Invoice]:
        return ()

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        raise BadInput(ABSENT)

    async def close(self) -> None:
        """Nothing is open."""

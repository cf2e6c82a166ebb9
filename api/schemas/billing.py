"""Pages of the payment service, and invoices, on the wire (API-45)."""

from __future__ import annotations

from typing import Literal, Self

from api.schemas.wire import MomentOut, Response, Thousandths
from core.billing.payments import Invoice


class PageOut(Response):
    """Where to send the person's browser; good once, and for minutes only."""

    url: str


class InvoiceOut(Response):
    """`pdfUrl` and `pageUrl` are there once the invoice is finalized."""

    id: str
    number: str | None
    status: str
    total_usd: Thousandths
    due_usd: Thousandths
    created_at: MomentOut
    period_start: MomentOut
    period_end: MomentOut
    pdf_url: str | None
    page_url: str | None

    @classmethod
    def of(cls, invoice: Invoice) -> Self:
        return cls.model_validate(invoice, from_attributes=True)


class InvoicesPage(Response):
    """A page of invoices, newest first; `nextCursor` is null on the last one (CV-13)."""

    data: list[InvoiceOut]
    next_cursor: str | None


class Received(Response):
    received: Literal[True] = True

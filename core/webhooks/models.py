"""The outbox of webhooks and the ledger of their attempts (WH-27)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, text
from sqlmodel import Field, SQLModel

from core.columns import choice, document, timestamp
from core.webhooks.events import EventName


class DeliveryStatus(StrEnum):
    """`exhausted`: given up, by number of attempts or because the receiver said 410.

    `unaddressed`: nobody asked for it by URL; it is on the stream only (API-36).
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    UNADDRESSED = "unaddressed"


class Delivery(SQLModel, table=True):
    """One webhook to one address, written in the transaction of its event (design.md D9)."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "ix_webhook_deliveries_due",
            "next_attempt_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_webhook_deliveries_job", "job_id", "seq"),
        Index(
            "ix_webhook_deliveries_listing",
            "team_id",
            "livemode",
            text("substr(id, 5)"),
            postgresql_where=text("status <> 'unaddressed'"),
        ),
        # What needs looking after is rare, and is asked for.
        Index(
            "ix_webhook_deliveries_open",
            "team_id",
            "livemode",
            "status",
            text("substr(id, 5)"),
            postgresql_where=text("status in ('pending', 'exhausted')"),
        ),
        Index("ix_webhook_deliveries_stream", "team_id", "livemode", "written_in", "seq"),
        Index(
            "ux_webhook_deliveries_resend",
            "resend_of",
            "replay_id",
            unique=True,
            postgresql_where=text("resend_of is not null"),
        ),
    )

    id: str = Field(primary_key=True)
    # The order of emission; times alone could tie.
    seq: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), unique=True)
    )
    team_id: str = Field(foreign_key="teams.id")
    job_id: str = Field(foreign_key="jobs.id")
    event: EventName = Field(sa_column=choice(EventName))
    # Empty where it is unaddressed.
    url: str
    version: int
    data: dict[str, Any] = Field(sa_column=document())
    livemode: bool
    resend_of: str | None = None
    # Of a resend that belongs to a replay: the customer's name for it.
    replay_id: str | None = None
    # The transaction that wrote it: what readers of the stream order by (core/webhooks/stream.py).
    written_in: int | None = Field(
        default=None,
        sa_column=Column(
            BigInteger, server_default=text("(pg_current_xact_id()::text)::bigint"), nullable=False
        ),
    )
    emitted_at: datetime = Field(sa_column=timestamp())
    status: DeliveryStatus = Field(default=DeliveryStatus.PENDING, sa_column=choice(DeliveryStatus))
    attempts: int = 0
    next_attempt_at: datetime | None = Field(sa_column=timestamp(nullable=True))
    # A sender holds it until then; afterwards another may take over.
    claimed_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    created_at: datetime = Field(sa_column=timestamp())


class DeliveryAttempt(SQLModel, table=True):
    """One try: what the receiver answered, or why there was no answer."""

    __tablename__ = "webhook_attempts"

    delivery_id: str = Field(foreign_key="webhook_deliveries.id", primary_key=True)
    attempt: int = Field(primary_key=True)
    at: datetime = Field(sa_column=timestamp())
    status_code: int | None = None
    latency_ms: int
    error: str | None = None

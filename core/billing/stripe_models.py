"""What we keep of Stripe: who is which customer, what was reported to it, what it told us."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from core.columns import timestamp


class BillingAccount(SQLModel, table=True):
    """A team's customer and subscription at Stripe; made when the first of them is needed.

    `generation` numbers the customers that a team has had, because one that was deleted there is
    never used again.
    """

    __tablename__ = "billing_accounts"

    team_id: str = Field(foreign_key="teams.id", primary_key=True)
    generation: int = 1
    customer_id: str | None = Field(default=None, unique=True)
    subscription_id: str | None = None
    subscribed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # The prices of the subscription, as `recording/transcription`.
    subscribed_prices: str | None = None
    email: str | None = None
    # An invoice could not be collected since then.
    payment_failed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class PaymentMethodSeen(SQLModel, table=True):
    """A card or mandate that Stripe told us of.

    Stripe never attaches one again that was detached, so a detached row stays so, in whichever
    order the two events come.
    """

    __tablename__ = "stripe_payment_methods"

    id: str = Field(primary_key=True)
    customer_id: str | None = Field(default=None, index=True)
    detached: bool = False


class StripeNoticeSeen(SQLModel, table=True):
    """An event of Stripe's that was dealt with (API-83)."""

    __tablename__ = "stripe_notices"

    id: str = Field(primary_key=True)
    type: str
    created_at: datetime = Field(sa_column=timestamp())
    received_at: datetime = Field(sa_column=timestamp(index=True))


class StripeGrant(SQLModel, table=True):
    """A credit entry that Stripe knows of, so that it takes it off the invoices, too."""

    __tablename__ = "stripe_credit_grants"

    entry_id: str = Field(foreign_key="credit_entries.id", primary_key=True)
    customer_id: str = Field(primary_key=True)
    grant_id: str
    granted_at: datetime = Field(sa_column=timestamp())


class MeterEvent(SQLModel, table=True):
    """Usage on its way to Stripe's meters (BL-17 to 19); `identifier` makes Stripe count it once.

    Written in the transaction of its usage event. `skipped`: this installation had no Stripe key
    then, so nobody owes the money. `uncertain`: see `core.billing.reporting`.
    """

    __tablename__ = "meter_events"
    __table_args__ = (
        Index(
            "ix_meter_events_due",
            "next_attempt_at",
            postgresql_where=text("sent_at IS NULL AND NOT skipped AND NOT uncertain"),
        ),
    )

    identifier: str = Field(primary_key=True)
    usage_event_id: str = Field(foreign_key="usage_events.id", unique=True)
    team_id: str = Field(foreign_key="teams.id", index=True)
    event_name: str
    # What was sent last: units of the meter, and the moment that they were booked at.
    value: int | None = None
    booked_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_column=timestamp())
    sent_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # The first attempt of which nobody knows whether Stripe took it.
    unknown_since: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    skipped: bool = False
    uncertain: bool = False
    last_error: str | None = None

"""The credit ledger, what is known of Stripe, and how usage was priced"""

from alembic import op
import sqlalchemy as sa
from ulid import ULID

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Money that was written down stays as it is.
REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
END $$
"""
LEDGERS = ("usage_events", "credit_entries")


def upgrade() -> None:
    op.add_column(
        "usage_events",
        sa.Column("rate_usd_per_hour", sa.Numeric(14, 3), nullable=False, server_default="0.300"),
    )
    op.add_column(
        "usage_events", sa.Column("free_hours", sa.Numeric(14, 3), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE usage_events SET rate_usd_per_hour = CASE kind WHEN 'transcription' THEN 0.100 "
        "ELSE COALESCE((SELECT t.rate_usd_per_hour FROM teams t WHERE t.id = team_id), 0.300) END"
    )
    op.alter_column("usage_events", "rate_usd_per_hour", server_default=None)
    op.alter_column("usage_events", "free_hours", server_default=None)
    op.create_index(
        "ix_usage_events_listing", "usage_events", ["team_id", "livemode", "id"], unique=False
    )
    entries = op.create_table(
        "credit_entries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("amount_usd", sa.Numeric(14, 3), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_usd > 0", name=op.f("ck_credit_entries_positive")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_credit_entries_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
    )
    op.create_index("ix_credit_entries_team_id", "credit_entries", ["team_id"], unique=False)
    op.create_index(
        "uq_credit_entries_signup",
        "credit_entries",
        ["team_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'signup'"),
    )
    # Teams that are there already get what every new one gets.
    teams = op.get_bind().execute(sa.text("SELECT id, created_at FROM teams")).all()
    op.bulk_insert(
        entries,
        [
            {
                "id": f"crd_{ULID()}",
                "team_id": team_id,
                "kind": "signup",
                "amount_usd": "5.000",
                "note": "",
                "created_at": created_at,
            }
            for team_id, created_at in teams
        ],
    )
    op.create_table(
        "billing_accounts",
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("subscription_id", sa.String(), nullable=True),
        sa.Column("subscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("subscribed_prices", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("payment_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_billing_accounts_team_id")
        ),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_billing_accounts")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_billing_accounts_customer_id")),
    )
    op.create_table(
        "stripe_payment_methods",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("detached", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_payment_methods")),
    )
    op.create_index(
        op.f("ix_stripe_payment_methods_customer_id"),
        "stripe_payment_methods",
        ["customer_id"],
        unique=False,
    )
    op.create_table(
        "stripe_notices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_notices")),
    )
    op.create_index(
        op.f("ix_stripe_notices_received_at"), "stripe_notices", ["received_at"], unique=False
    )
    op.create_table(
        "stripe_credit_grants",
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["credit_entries.id"], name=op.f("fk_stripe_credit_grants_entry_id")
        ),
        sa.PrimaryKeyConstraint("entry_id", "customer_id", name=op.f("pk_stripe_credit_grants")),
    )
    op.create_table(
        "meter_events",
        sa.Column("identifier", sa.String(), nullable=False),
        sa.Column("usage_event_id", sa.String(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("event_name", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unknown_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("skipped", sa.Boolean(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_meter_events_team_id")),
        sa.ForeignKeyConstraint(
            ["usage_event_id"], ["usage_events.id"], name=op.f("fk_meter_events_usage_event_id")
        ),
        sa.PrimaryKeyConstraint("identifier", name=op.f("pk_meter_events")),
        sa.UniqueConstraint("usage_event_id", name=op.f("uq_meter_events_usage_event_id")),
    )
    op.create_index(op.f("ix_meter_events_team_id"), "meter_events", ["team_id"], unique=False)
    op.create_index(
        "ix_meter_events_due",
        "meter_events",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL AND NOT skipped AND NOT uncertain"),
    )
    op.execute(REFUSE)
    for table in LEDGERS:
        op.execute(
            f"CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in LEDGERS:
        op.execute(f"DROP TRIGGER {table}_stay ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
    for table in (
        "meter_events",
        "stripe_credit_grants",
        "stripe_notices",
        "stripe_payment_methods",
        "billing_accounts",
        "credit_entries",
    ):
        op.drop_table(table)
    op.drop_index("ix_usage_events_listing", table_name="usage_events")
    op.drop_column("usage_events", "free_hours")
    op.drop_column("usage_events", "rate_usd_per_hour")

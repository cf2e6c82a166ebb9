"""Connected calendars, rules, and the events of them.

Revision ID: 0017
Revises: 0016
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def text(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), nullable=nullable)


def moment(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def choice(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=40), nullable=False)


def document(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, JSONB(), nullable=nullable)


def refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}")


def upgrade() -> None:
    op.create_table(
        "calendar_connections",
        text("id"),
        text("team_id"),
        flag("livemode"),
        choice("provider"),
        text("calendar_id"),
        text("account", nullable=True),
        choice("state"),
        text("problem", nullable=True),
        text("grant", nullable=True),
        text("cursor", nullable=True),
        moment("window_until", nullable=True),
        moment("synced_at", nullable=True),
        moment("next_sync_at"),
        moment("asked_at", nullable=True),
        flag("rules_changed"),
        moment("created_at"),
        moment("updated_at"),
        refers("calendar_connections", "team_id", "teams"),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_connections"),
    )
    op.create_index(
        "ix_calendar_connections_of_team", "calendar_connections", ["team_id", "livemode", "id"]
    )
    op.create_index("ix_calendar_connections_due", "calendar_connections", ["next_sync_at"])
    op.create_index("ix_calendar_connections_asked_at", "calendar_connections", ["asked_at"])
    op.create_table(
        "calendar_logins",
        text("state_hash"),
        text("connection_id"),
        text("team_id"),
        flag("livemode"),
        choice("provider"),
        text("calendar_id"),
        text("verifier"),
        text("landing"),
        moment("expires_at"),
        moment("used_at", nullable=True),
        refers("calendar_logins", "team_id", "teams"),
        sa.PrimaryKeyConstraint("state_hash", name="pk_calendar_logins"),
    )
    op.create_index("ix_calendar_logins_expires_at", "calendar_logins", ["expires_at"])
    op.create_table(
        "calendar_channels",
        text("id"),
        text("connection_id"),
        text("resource_id"),
        text("token_hash"),
        moment("expires_at"),
        refers("calendar_channels", "connection_id", "calendar_connections"),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_channels"),
    )
    op.create_index("ix_calendar_channels_connection_id", "calendar_channels", ["connection_id"])
    op.create_table(
        "calendar_rules",
        text("id"),
        text("team_id"),
        flag("livemode"),
        text("connection_id", nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        choice("action"),
        document("match"),
        flag("enabled"),
        document("bot_defaults", nullable=True),
        moment("created_at"),
        moment("updated_at"),
        refers("calendar_rules", "team_id", "teams"),
        refers("calendar_rules", "connection_id", "calendar_connections"),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_rules"),
    )
    op.create_index("ix_calendar_rules_of_team", "calendar_rules", ["team_id", "livemode", "id"])
    op.create_index("ix_calendar_rules_connection_id", "calendar_rules", ["connection_id"])
    op.create_table(
        "calendar_events",
        text("id"),
        text("connection_id"),
        text("team_id"),
        flag("livemode"),
        text("provider_id"),
        text("facts"),
        moment("starts_at"),
        moment("ends_at"),
        choice("action"),
        choice("why"),
        text("rule_id", nullable=True),
        text("job_id", nullable=True),
        moment("placed_at", nullable=True),
        flag("cancelled"),
        moment("created_at"),
        moment("updated_at"),
        refers("calendar_events", "connection_id", "calendar_connections"),
        refers("calendar_events", "team_id", "teams"),
        refers("calendar_events", "job_id", "jobs"),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_events"),
        sa.UniqueConstraint(
            "connection_id", "provider_id", name="uq_calendar_events_connection_id_provider_id"
        ),
    )
    op.create_index("ix_calendar_events_of_team", "calendar_events", ["team_id", "livemode", "id"])
    op.create_index("ix_calendar_events_starts", "calendar_events", ["connection_id", "starts_at"])
    op.create_index("ix_calendar_events_job_id", "calendar_events", ["job_id"])


def downgrade() -> None:
    for table in ("events", "rules", "channels", "logins", "connections"):
        op.drop_table(f"calendar_{table}")

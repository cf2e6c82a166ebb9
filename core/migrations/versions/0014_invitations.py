"""Invitations by mail, and the jobs of their occurrences.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stamped_at", MOMENT, nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("planned_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_invitations_team_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("team_id", "uid", name="uq_invitations_team_id_uid"),
    )
    op.create_index("ix_invitations_planned_until", "invitations", ["planned_until"])
    op.create_table(
        "invited_meetings",
        sa.Column("invitation_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invitation_id"], ["invitations.id"], name="fk_invited_meetings_invitation_id"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_invited_meetings_job_id"),
        sa.PrimaryKeyConstraint("invitation_id", "key", name="pk_invited_meetings"),
    )
    op.create_index("ix_invited_meetings_job_id", "invited_meetings", ["job_id"])


def downgrade() -> None:
    op.drop_table("invited_meetings")
    op.drop_table("invitations")

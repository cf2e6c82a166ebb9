"""Notices of jobs, media lent to bots, messages taken from bots"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_notices",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.Column(
            "data", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_notices_job_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_job_notices")),
    )
    op.create_index(op.f("ix_job_notices_job_id"), "job_notices", ["job_id"], unique=False)
    op.create_table(
        "job_media",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("command_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_media_job_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_job_media")),
    )
    op.create_index(op.f("ix_job_media_job_id"), "job_media", ["job_id"], unique=False)
    op.create_table(
        "ingested_messages",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "answer", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_ingested_messages_job_id")),
        sa.PrimaryKeyConstraint("job_id", "fence", "seq", name=op.f("pk_ingested_messages")),
    )
    op.create_index(op.f("ix_ingested_messages_at"), "ingested_messages", ["at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ingested_messages_at"), table_name="ingested_messages")
    op.drop_table("ingested_messages")
    op.drop_index(op.f("ix_job_media_job_id"), table_name="job_media")
    op.drop_table("job_media")
    op.drop_index(op.f("ix_job_notices_job_id"), table_name="job_notices")
    op.drop_table("job_notices")

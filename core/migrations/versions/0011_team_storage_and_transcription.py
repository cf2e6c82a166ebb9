"""Storage and transcription of teams, and transcripts that are still to be made"""

from alembic import op
import sqlalchemy as sa

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "team_storages",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("credentials", sa.String(), nullable=True),
        sa.Column("force_path_style", sa.Boolean(), nullable=False),
        sa.Column("encryption", sa.String(), nullable=True),
        sa.Column("kms_key_id", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("selected_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_team_storages_team_id"),
        sa.PrimaryKeyConstraint("id", name="pk_team_storages"),
        sa.UniqueConstraint(
            "team_id", "endpoint", "bucket", "prefix",
            name="uq_team_storages_team_id_endpoint_bucket_prefix",
        ),
    )
    op.add_column("jobs", sa.Column("storage_id", sa.String(), nullable=True))
    op.create_foreign_key("fk_jobs_storage_id", "jobs", "team_storages", ["storage_id"], ["id"])
    op.create_table(
        "team_transcription",
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("wait", sa.Boolean(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_team_transcription_team_id"),
        sa.PrimaryKeyConstraint("team_id", name="pk_team_transcription"),
    )
    op.create_table(
        "provider_keys",
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("api_key", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_provider_keys_team_id"),
        sa.PrimaryKeyConstraint("team_id", "provider", name="pk_provider_keys"),
    )
    op.create_table(
        "transcript_requests",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_transcript_requests_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_transcript_requests"),
    )
    op.create_index("ix_transcript_requests_job_id", "transcript_requests", ["job_id"])
    op.create_index(
        "ix_transcript_requests_due", "transcript_requests", ["status", "next_attempt_at"]
    )
    op.create_index(
        "uq_transcript_requests_pending",
        "transcript_requests",
        ["job_id"],
        unique=True,
        postgresql_where=sa.text("status = 'pending'"),
    )


def downgrade() -> None:
    op.drop_table("transcript_requests")
    op.drop_table("provider_keys")
    op.drop_table("team_transcription")
    op.drop_constraint("fk_jobs_storage_id", "jobs", type_="foreignkey")
    op.drop_column("jobs", "storage_id")
    op.drop_table("team_storages")

"""Links by mail, logins of command lines, and counters of requests"""

from alembic import op
import sqlalchemy as sa

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_windows",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_rate_windows")),
        prefixes=["UNLOGGED"],
    )
    op.create_index(
        op.f("ix_rate_windows_started_at"), "rate_windows", ["started_at"], unique=False
    )
    op.create_table(
        "magic_links",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("landing", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_magic_links")),
    )
    op.create_index(op.f("ix_magic_links_expires_at"), "magic_links", ["expires_at"], unique=False)
    op.create_table(
        "cli_logins",
        sa.Column("nonce_hash", sa.String(), nullable=False),
        sa.Column("client_name", sa.String(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("team_id", sa.String(), nullable=True),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_cli_logins_team_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_cli_logins_user_id")),
        sa.PrimaryKeyConstraint("nonce_hash", name=op.f("pk_cli_logins")),
    )
    op.create_index(op.f("ix_cli_logins_expires_at"), "cli_logins", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_cli_logins_expires_at"), table_name="cli_logins")
    op.drop_table("cli_logins")
    op.drop_index(op.f("ix_magic_links_expires_at"), table_name="magic_links")
    op.drop_table("magic_links")
    op.drop_index(op.f("ix_rate_windows_started_at"), table_name="rate_windows")
    op.drop_table("rate_windows")

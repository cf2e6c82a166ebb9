"""Deliveries that are listed, sent again and listened to"""

from alembic import op
import sqlalchemy as sa
revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


BY_ULID = sa.text('substr(id, 5)')
THIS_TRANSACTION = sa.text('(pg_current_xact_id()::text)::bigint')


def upgrade() -> None:
    op.add_column('webhook_deliveries', sa.Column('replay_id', sa.String(), nullable=True))
    op.add_column('webhook_deliveries', sa.Column('written_in', sa.BigInteger(), server_default=THIS_TRANSACTION, nullable=False))
    op.create_index('ix_webhook_deliveries_listing', 'webhook_deliveries', ['team_id', 'livemode', BY_ULID], unique=False, postgresql_where=sa.text("status <> 'unaddressed'"))
    op.create_index('ix_webhook_deliveries_open', 'webhook_deliveries', ['team_id', 'livemode', 'status', BY_ULID], unique=False, postgresql_where=sa.text("status in ('pending', 'exhausted')"))
    op.create_index('ix_webhook_deliveries_stream', 'webhook_deliveries', ['team_id', 'livemode', 'written_in', 'seq'], unique=False)
    op.create_index('ux_webhook_deliveries_resend', 'webhook_deliveries', ['resend_of', 'replay_id'], unique=True, postgresql_where=sa.text('resend_of is not null'))


def downgrade() -> None:
    # Nobody but the stream knows them.
    op.execute("delete from webhook_deliveries where status = 'unaddressed'")
    for name in ('ux_webhook_deliveries_resend', 'ix_webhook_deliveries_stream', 'ix_webhook_deliveries_open', 'ix_webhook_deliveries_listing'):
        op.drop_index(name, table_name='webhook_deliveries')
    op.drop_column('webhook_deliveries', 'written_in')
    op.drop_column('webhook_deliveries', 'replay_id')

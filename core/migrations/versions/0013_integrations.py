"""Accounts at meeting platforms that bots sign in with"""

from alembic import op
import sqlalchemy as sa
revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'integrations',
        sa.Column('provider', sa.Enum('google', 'microsoft', 'webex', 'zoom', name='provider', native_enum=False, length=40), nullable=False),
        sa.Column('storage_state', sa.String(), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('id', sa.String(), nullable=False),
        sa.Column('team_id', sa.String(), nullable=False),
        sa.Column('livemode', sa.Boolean(), nullable=False),
        sa.Column('label', sa.String(), nullable=False),
        sa.Column('problem', sa.String(), nullable=True),
        sa.Column('lent_to', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(['team_id'], ['teams.id'], name=op.f('fk_integrations_team_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_integrations')),
    )
    op.create_index('ix_integrations_pool', 'integrations', ['team_id', 'livemode', 'provider'], unique=False)


def downgrade() -> None:
    op.drop_table('integrations')

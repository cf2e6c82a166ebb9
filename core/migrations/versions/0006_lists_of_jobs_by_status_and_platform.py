"""Lists of jobs by status and platform, from an index"""

from alembic import op
import sqlalchemy as sa
revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


BY_ULID = sa.text('substr(id, 5)')


def upgrade() -> None:
    op.drop_index('ix_jobs_listing', table_name='jobs')
    op.create_index('ix_jobs_listing', 'jobs', ['team_id', 'livemode', BY_ULID], unique=False)
    op.create_index('ix_jobs_filtered', 'jobs', ['team_id', 'livemode', 'status', 'platform', BY_ULID], unique=False)


def downgrade() -> None:
    op.drop_index('ix_jobs_filtered', table_name='jobs')
    op.drop_index('ix_jobs_listing', table_name='jobs')
    op.create_index('ix_jobs_listing', 'jobs', ['team_id', 'livemode', 'id'], unique=False)

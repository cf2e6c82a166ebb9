"""Usage of all regions in each"""

from alembic import op
import sqlalchemy as sa
revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint('fk_usage_events_job_id', 'usage_events', type_='foreignkey')
    op.add_column('usage_events', sa.Column('region', sa.String(), nullable=True))
    # Rows of money are never changed, but for a new column.
    op.execute('ALTER TABLE usage_events DISABLE TRIGGER usage_events_stay')
    op.execute(
        'UPDATE usage_events u SET region = '
        "coalesce((SELECT region FROM jobs WHERE jobs.id = u.job_id), 'eu')"
    )
    op.execute('ALTER TABLE usage_events ENABLE TRIGGER usage_events_stay')
    op.alter_column('usage_events', 'region', nullable=False)


def downgrade() -> None:
    op.drop_column('usage_events', 'region')
    # Not of the rows that there are: what was recorded elsewhere has no job here.
    op.create_foreign_key(
        'fk_usage_events_job_id',
        'usage_events',
        'jobs',
        ['job_id'],
        ['id'],
        postgresql_not_valid=True,
    )

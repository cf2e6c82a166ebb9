"""Where a team's webhooks go when a job names no address"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('teams', sa.Column('webhook_url', sa.String(), nullable=True))
    op.add_column('teams', sa.Column('webhook_events', JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column('teams', 'webhook_events')
    op.drop_column('teams', 'webhook_url')

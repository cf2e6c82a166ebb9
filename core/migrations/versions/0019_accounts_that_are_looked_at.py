"""When lent accounts were looked at"""

from alembic import op
import sqlalchemy as sa
revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ('checked_at', 'held_until'):
        op.add_column('integrations', sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ('held_until', 'checked_at'):
        op.drop_column('integrations', name)

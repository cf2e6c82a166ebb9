"""Evidence of screens that kept a bot out"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column('jobs', sa.Column('evidence', kind, nullable=True))


def downgrade() -> None:
    op.drop_column('jobs', 'evidence')

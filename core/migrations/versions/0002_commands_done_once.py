"""Commands that are done at most once, and what commands bring"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('job_commands', sa.Column('acting_fence', sa.Integer(), nullable=True))
    op.add_column('job_commands', sa.Column('result', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column('job_commands', 'result')
    op.drop_column('job_commands', 'acting_fence')

"""Recordings that wait for their storage, and the workers that there are"""

from alembic import op
import sqlalchemy as sa
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('postponed_uploads',
    sa.Column('job_id', sa.String(), nullable=False),
    sa.Column('machine', sa.String(), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('last_error', sa.String(), nullable=False),
    sa.Column('exit_reason', sa.String(length=40), nullable=False),
    sa.Column('failure_code', sa.String(length=40), nullable=True),
    sa.Column('failure_detail', sa.String(), nullable=True),
    sa.Column('adapter_error', sa.String(), nullable=True),
    sa.Column('cancelled', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_postponed_uploads_job_id')),
    sa.PrimaryKeyConstraint('job_id', name=op.f('pk_postponed_uploads'))
    )
    op.create_index(op.f('ix_postponed_uploads_machine'), 'postponed_uploads', ['machine'], unique=False)
    op.create_table('workers',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('cpu_budget', sa.Float(), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_workers'))
    )


def downgrade() -> None:
    op.drop_table('workers')
    op.drop_index(op.f('ix_postponed_uploads_machine'), table_name='postponed_uploads')
    op.drop_table('postponed_uploads')

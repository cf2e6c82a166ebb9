"""Recordings in a list of their own, and what is erased of them"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'erasures',
        sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('rows', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column('objects', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column('runs', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column('machines', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('job_id', sa.String(), nullable=False),
        sa.Column('team_id', sa.String(), nullable=False),
        sa.Column('livemode', sa.Boolean(), nullable=False),
        sa.Column('requested_by', sa.String(), nullable=False),
        sa.Column('flow_run_id', sa.String(), nullable=True),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('last_error', sa.String(), nullable=True),
        sa.Column('receipt', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_erasures_job_id')),
        sa.ForeignKeyConstraint(['team_id'], ['teams.id'], name=op.f('fk_erasures_team_id')),
        sa.PrimaryKeyConstraint('job_id', name=op.f('pk_erasures')),
    )
    op.create_index('ix_erasures_due', 'erasures', ['next_attempt_at'], unique=False, postgresql_where=sa.text('completed_at is null'))
    op.create_index(op.f('ix_erasures_team_id'), 'erasures', ['team_id'], unique=False)
    op.create_index('ix_jobs_recordings', 'jobs', ['team_id', 'livemode', sa.text('substr(id, 5)')], unique=False, postgresql_where=sa.text('manifest_uri is not null'))


def downgrade() -> None:
    op.drop_index('ix_jobs_recordings', table_name='jobs')
    op.drop_table('erasures')

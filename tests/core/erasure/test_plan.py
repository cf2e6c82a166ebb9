"""Every table that names a job is either erased with it or kept on purpose (MF-22)."""

from __future__ import annotations

import pytest

from core.erasure.rows import BLANK, ERASED, KEPT
from core.jobs.models import Job
from core.tables import metadata

pytestmark = pytest.mark.unit


def test_every_table_of_a_job_has_its_fate() -> None:
    of_jobs = {table.name for table in metadata.sorted_tables if "job_id" in table.columns}
    erased = {table.__tablename__ for table in ERASED}
    kept = {str(table.__tablename__) for table in KEPT}
    assert erased & kept == set()
    assert of_jobs == erased | kept, "Add the table to ERASED or KEPT in core/erasure/rows.py."


def test_every_column_of_a_job_has_its_fate() -> None:
    evidence = {
        *("id", "team_id", "livemode", "source", "platform", "driver", "region", "storage_id"),
        *("join_at", "leave_behavior", "auto_leave", "recording", "transcription"),
        *("status", "recording_state", "cancel_requested_at", "last_emitted_at", "flow_run_id"),
        *("fence", "lease_holder", "lease_until", "started_at", "ended_at", "duration_seconds"),
        *("exit_reason", "failure_code", "billed", "hours_billed", "amount_usd"),
        *("created_at", "updated_at"),
        # Becomes the job's id.
        "external_id",
    }
    unknown = set(Job.model_fields) - evidence - set(BLANK)
    assert unknown == set(), "Add the column to BLANK in core/erasure/rows.py, or to this list."

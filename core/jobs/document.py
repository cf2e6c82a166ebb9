"""The job document that a bot is given, made from the job's row."""

from __future__ import annotations

from core.errors import InvalidState
from core.integrations.state import StorageState
from core.jobs.creation import open_secrets
from core.jobs.models import Job
from core.jobs.spec import AutoLeavePolicy, JobSpec, RecordingOptions
from core.platforms.zoom_settings import ZoomEngine, asked_engine, is_engine
from core.secrets import SecretBox


def job_spec(job: Job, box: SecretBox, signed_in: StorageState | None = None) -> JobSpec:
    """What the current attempt at `job` is to do.

    Raises:
        InvalidState: nobody holds the job yet, or its scripted room was not made.
    """
    if job.fence < 1:
        raise InvalidState(f"No attempt holds {job.id}; acquire its lease first.")
    if job.room_url is None:
        raise InvalidState(f"{job.id} has no room yet; make its scripted room first.")
    return JobSpec(
        job_id=job.id,
        fence=job.fence,
        platform=job.platform,
        driver=job.driver,
        meeting_url=job.meeting_url,
        room_url=job.room_url,
        display_name=job.display_name,
        livemode=job.livemode,
        join_at=job.join_at,
        auto_leave=AutoLeavePolicy.model_validate(job.auto_leave),
        recording=RecordingOptions.model_validate(job.recording),
        meeting_password=open_secrets(box, job).get("meetingPassword"),
        engine=_engine(job),
        signed_in=signed_in,
    )


def _engine(job: Job) -> ZoomEngine | None:
    """What `metadata.zoom.engine` asks for (PL-25); it was checked when the job was made."""
    asked = asked_engine(job.labels)
    return asked if is_engine(asked) else None

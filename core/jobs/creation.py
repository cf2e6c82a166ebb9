"""Creating jobs: once per `externalId` (API-51), whatever door they come through (LC-19)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.ids import moment_of, new_id
from core.jobs.models import Job, Source
from core.jobs.spec import AutoLeavePolicy, RecordingOptions, TranscriptionOptions
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.team import storage_for
from core.transcripts.settings import options_for


@dataclass(frozen=True)
class NewJob:
    """A checked request. `secrets` maps names to values that are sealed at once (AU-17)."""

    team_id: str
    livemode: bool
    platform: str
    driver: str
    meeting_url: str
    room_url: str | None
    display_name: str
    region: str
    external_id: str | None = None
    source: Source = Source.API
    join_at: datetime | None = None
    leave_behavior: str | None = None
    auto_leave: AutoLeavePolicy = field(default_factory=AutoLeavePolicy)
    recording: RecordingOptions = field(default_factory=RecordingOptions)
    # None: as the team has set it (API-61).
    transcription: TranscriptionOptions | None = None
    storage_id: str | None = None
    webhooks: Mapping[str, Any] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)
    # Makes a second attempt at the same request find what the first one made (API-63).
    id: str | None = None


async def with_team_settings(session: AsyncSession, new: NewJob, settings: Settings) -> NewJob:
    """`new` with what its team has set and the request left open.

    Raises:
        BadInput: as `create_job`.
    """
    storage_id = await storage_for(
        session, new.team_id, livemode=new.livemode, settings=settings.storage
    )
    options = await options_for(session, new.team_id, new.transcription)
    webhooks = new.webhooks or await _team_webhooks(session, new.team_id)
    return replace(new, storage_id=storage_id, transcription=options, webhooks=webhooks)


async def _team_webhooks(session: AsyncSession, team_id: str) -> dict[str, Any] | None:
    """The team's own address, for jobs that name none (WH-13)."""
    team = await session.get_one(Team, team_id)
    if team.webhook_url is None:
        return None
    return {
        "onFinalize": team.webhook_url,
        "version": team.webhook_version,
        "events": team.webhook_events,
    }


async def create_job(
    session: AsyncSession,
    box: SecretBox,
    new: NewJob,
    *,
    now: datetime,
    settings: Settings | None = None,
) -> tuple[Job, bool]:
    """The job and whether it is new: the same `externalId` again finds the first one (LC-31).

    Args:
        settings: with them the job gets its team's storage and transcription, or is refused;
            without, what `new` says.

    Raises:
        BadInput: the team has no storage, or no key for the provider that is to transcribe.
    """
    existing = await _existing(session, new)
    if existing is not None:
        return existing, False
    if settings is not None:
        new = await with_team_settings(session, new, settings)
    job = _row(box, new, now)
    try:
        async with session.begin_nested():
            session.add(job)
    except IntegrityError:
        # Somebody else created it between our look and our insert.
        existing = await _existing(session, new)
        if existing is None:
            raise
        return existing, False
    return job, True


def open_secrets(box: SecretBox, job: Job) -> dict[str, SecretStr]:
    """The job's secrets, for the process that runs it."""
    if job.secrets is None:
        return {}
    values: dict[str, str] = json.loads(box.open(job.secrets).get_secret_value())
    return {name: SecretStr(value) for name, value in values.items()}


async def _existing(session: AsyncSession, new: NewJob) -> Job | None:
    if new.id is not None:
        made = await session.get(Job, new.id)
        if made is not None:
            return made
    if new.external_id is None:
        return None
    statement = select(Job).where(
        Job.team_id == new.team_id,
        Job.livemode == new.livemode,
        Job.external_id == new.external_id,
    )
    return (await session.exec(statement)).one_or_none()


def _row(box: SecretBox, new: NewJob, now: datetime) -> Job:
    # Lists are cut by time through their order by id, so the two must agree.
    job_id = new.id or new_id("job", now)
    return Job(
        id=job_id,
        team_id=new.team_id,
        livemode=new.livemode,
        external_id=new.external_id or job_id,
        source=new.source,
        platform=new.platform,
        driver=new.driver,
        meeting_url=new.meeting_url,
        room_url=new.room_url,
        display_name=new.display_name,
        join_at=new.join_at,
        leave_behavior=new.leave_behavior,
        auto_leave=new.auto_leave.model_dump(mode="json"),
        recording=new.recording.model_dump(mode="json"),
        transcription=(new.transcription or TranscriptionOptions()).model_dump(mode="json"),
        webhooks=dict(new.webhooks) if new.webhooks is not None else None,
        labels=dict(new.labels),
        secrets=_seal(box, new.secrets),
        region=new.region,
        storage_id=new.storage_id,
        created_at=moment_of(new.id) if new.id is not None else now,
        updated_at=now,
    )


def _seal(box: SecretBox, secrets: Mapping[str, SecretStr]) -> str | None:
    if not secrets:
        return None
    values = {name: value.get_secret_value() for name, value in secrets.items()}
    return box.seal(SecretStr(json.dumps(values)))

"""Recordings, their media, and what is left of deleted ones (API-18 to 20, API-73)."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from api.schemas.wire import MomentOut, Response, Thousandths
from core.erasure.models import Erasure
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.recordings.recording import TrackKind


class RecordingOut(Response):
    """A recording; `id` is that of its job. `hours_billed` and `amount_usd` as on the bill."""

    id: str
    job_id: str
    external_id: str
    platform: str
    status: Status
    started_at: MomentOut | None
    ended_at: MomentOut | None
    duration_seconds: int | None
    manifest_uri: str
    billed: bool | None
    hours_billed: Thousandths | None = Field(alias="hours_billed")
    amount_usd: Thousandths | None = Field(alias="amount_usd")
    livemode: bool

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls.model_validate(fields_of(job))


def fields_of(job: Job) -> dict[str, Any]:
    """The public view of a row; a column is never public by accident."""
    columns = vars(job)
    names = set(RecordingOut.model_fields) - {"job_id"}
    return {**{name: columns[name] for name in names}, "job_id": job.id}


class RecordingsPage(Response):
    """Recordings, newest first; `nextCursor` is null on the last page (CV-13)."""

    data: list[RecordingOut]
    next_cursor: str | None


class MediaOut(Response):
    """One object of a recording and a link to it, good for a plain GET until `urlExpiresAt`.

    `kind` is the track's, or `captions`, `chat` or `transcript`. `filename` is what to call it on
    a disk; `participantId` is null where it is not one person's.
    """

    track_id: str
    kind: TrackKind | Literal["captions", "chat", "transcript"]
    participant_id: str | None
    filename: str
    mime_type: str
    bytes: int
    uri: str
    url: str
    url_expires_at: MomentOut


class RecordingDetail(RecordingOut):
    """With the manifest as it lies in the bucket (its schema: /manifest.schema.json)."""

    manifest: dict[str, Any]
    media: list[MediaOut]


class ErasedCounts(Response):
    """What went, by place, and when somebody looked that nothing is left.

    Null: not done yet. `versions` and `uploads` are null where the bucket does not list them.
    """

    rows: dict[str, Any]
    objects: dict[str, Any] | None
    prefect: dict[str, Any] | None
    machines: dict[str, Any]


class DeletionOut(Response):
    """The receipt of a deletion, or how far it is. Once `completed` its bytes never change."""

    job_id: str
    team_id: str
    livemode: bool
    status: Literal["pending", "completed"]
    requested_at: MomentOut
    requested_by: str
    completed_at: MomentOut | None
    erased: ErasedCounts
    kept: list[str]

    @classmethod
    def pending(cls, row: Erasure) -> Self:
        return cls(
            job_id=row.job_id,
            team_id=row.team_id,
            livemode=row.livemode,
            status="pending",
            requested_at=row.requested_at,
            requested_by=row.requested_by,
            completed_at=None,
            erased=ErasedCounts(
                rows={"removed": row.rows},
                objects=row.objects,
                prefect=row.runs,
                machines=row.machines,
            ),
            kept=[],
        )

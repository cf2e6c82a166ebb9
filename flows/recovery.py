"""What the next attempt makes of what earlier ones left (design.md D10)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.recording.bundles import missing_attempts, restore
from bot.recording.timeline import covered_ms, lay_out
from bot.returning import Past
from core.clock import from_epoch_ms
from core.errors import ObjectMissing, StorageError
from core.jobs import commands
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import IN_CALL
from core.jobs.models import Job
from core.jobs.verbs import Verb
from core.recordings.journal import Journal, known_participants, read_journals
from core.recordings.manifest import MANIFEST_NAME, Manifest
from core.storage.base import Storage
from flows.resources import Resources

log = logging.getLogger(__name__)

# Attempts beyond this one do not go into the meeting again; they deliver.
LAST_ATTEMPT_IN_CALL: Final = 5
ASK_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Left:
    """What earlier attempts left behind. `closed`: how the last one says that it ended.

    `complete`: all of it that exists anywhere is here.
    """

    past: Past
    closed: ExitReason | None
    asked: frozenset[Verb]
    complete: bool = True


@dataclass(frozen=True)
class Plan:
    """What the new attempt does: go back into the meeting, or deliver what there is."""

    goes_back: bool
    # How the meeting ended, where that is known without its journal.
    exit_reason: ExitReason | None = None


def plan(job: Job, left: Left) -> Plan:
    """Whether the meeting may still need its bot: it was in the call, and nobody wanted it out."""
    if job.cancel_requested_at is not None or Verb.CANCEL in left.asked:
        return Plan(goes_back=False, exit_reason=ExitReason.CANCELLED)
    if left.closed is None and Verb.LEAVE in left.asked:
        return Plan(goes_back=False, exit_reason=ExitReason.LEAVE_REQUESTED)
    if job.status not in IN_CALL or left.closed is not None:
        return Plan(goes_back=False)
    return Plan(goes_back=job.fence <= LAST_ATTEMPT_IN_CALL)


async def all_here(storage: Storage, job_id: str, work_dir: Path) -> bool:
    """Whether what earlier attempts journalled need not be fetched; False when nobody knows."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return not await asyncio.to_thread(missing_attempts, storage, job_id, work_dir)
    except (StorageError, TimeoutError):
        return False


async def look_back(resources: Resources, storage: Storage, job: Job, work_dir: Path) -> Left:
    """Read what is known of earlier attempts, restored from storage where they ran elsewhere.

    Raises:
        Unavailable: the database is away.
    """
    complete = True
    try:
        await bring_here(storage, job.id, work_dir)
    except StorageError as error:
        complete = False
        # The meeting goes on meanwhile; what is in storage is fetched before it is delivered.
        log.warning("%s: its journal stays in storage for now: %s", job.id, error.message)
    async with resources.database.begin() as session:
        asked = await commands.open_verbs(session, job.id)
    journals = await asyncio.to_thread(read_journals, work_dir)
    people = tuple(await asyncio.to_thread(known_participants, work_dir))
    closed = journals[-1].closed if journals else None
    return Left(
        Past(
            status=job.status,
            recording_state=job.recording_state,
            participants=people,
            began_at=from_epoch_ms(journals[0].opened.t0_ms) if journals else job.started_at,
            recorded_seconds=_recorded_seconds(journals),
        ),
        closed.exit_reason if closed else None,
        asked,
        complete,
    )


async def bring_here(storage: Storage, job_id: str, work_dir: Path) -> None:
    """Fetch the journals of attempts that another machine made.

    Raises:
        StorageError: storage did not answer.
    """
    used = await asyncio.to_thread(restore, storage, job_id, work_dir)
    if used:
        log.info("%s: %d journal bundles were fetched from storage", job_id, used)


async def delivered(storage: Storage, key_prefix: str) -> Manifest | None:
    """The manifest of a recording that an earlier attempt delivered; None when it did not.

    Raises:
        StorageError: storage did not answer.
    """
    try:
        data = await asyncio.to_thread(storage.get_bytes, f"{key_prefix}{MANIFEST_NAME}")
    except ObjectMissing:
        return None
    return Manifest.model_validate_json(data)


def _recorded_seconds(journals: Sequence[Journal]) -> float:
    if not journals:
        return 0.0
    timeline = lay_out(journals)
    free = covered_ms([*timeline.gaps(), *timeline.pauses()])
    return max(0, timeline.length_ms - free) / 1000

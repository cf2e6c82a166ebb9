"""One attempt at one job: what the tasks of the flow call, in the order of their names.

Plain functions around it decide; this class holds what the stages of one process share.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bot.control import Progress
from bot.recording.bundles import BundleUploader
from bot.returning import Past
from core.billing import gate
from core.errors import MeetbotError, StaleAttempt, StorageError, TranscriptionError
from core.jobs import leases, service
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import BEFORE_ROOM, IN_CALL, Event, Status
from core.jobs.models import Job
from core.jobs.spec import JobSpec
from core.recordings.journal import JournalError
from core.recordings.manifest import MANIFEST_NAME
from flows import delivery, evidence, recovery, settling, uploads
from flows.assignment import spec_of
from flows.channel import DatabaseChannel
from flows.lines import Line, open_line
from flows.outcome import Outcome
from flows.patience import START_SECONDS, answered, ended
from flows.postman import Postman
from flows.resources import Resources
from flows.rooms import scripted_room
from flows.sessions import Session, open_session
from transcription.transcript import Transcript

log = logging.getLogger(__name__)

# How often a run that waits for `joinAt` looks whether the job was cancelled.
WAIT_SLICE_SECONDS: Final = 1.0


class MeetingRun:
    """Holds the job's lease and the live session while the block runs."""

    def __init__(self, resources: Resources, job_id: str, holder: str) -> None:
        self.job_id = job_id
        self.outcome = Outcome()
        self._resources = resources
        self._holder = holder
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._spec: JobSpec | None = None
        # Where the recording goes: of the operator, until the job is known.
        self._storage = resources.storage
        # The run's own line to the job store, and the bot's.
        self._channel: DatabaseChannel | None = None
        self._line: Line | None = None
        self._postman = Postman(resources, job_id)
        self.status = Status.QUEUED
        self._fence = 0
        # What transcription made, kept while a refusing storage is tried again.
        self._transcript: Transcript | None = None
        self._silence: TranscriptionError | None = None
        # What earlier attempts left; None for the first one.
        self._past: Past | None = None
        # The job as they left it, until this attempt has looked at it.
        self._resumed: Job | None = None
        # They were in the meeting, and this one only delivers what they journalled.
        self._delivers_only = False
        self._took_over = False
        # Their journals could not be fetched from storage yet.
        self._to_fetch = False

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._postman)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def over(self) -> bool:
        """The job had ended before this run began: there is nothing to do."""
        return self.status.terminal

    def progress(self) -> Progress | None:
        """The last snapshot of a recording bot, for people watching."""
        return self._line.progress if self._line is not None else None

    @property
    def delivers(self) -> bool:
        """Whether the meeting was entered, so that a manifest is owed (MF-18)."""
        return self.status not in BEFORE_ROOM and not self.outcome.discard

    # --- the stages ---------------------------------------------------------------------------

    async def dispatch(self) -> None:
        """Take the lease, make the room of a test job, start the bot.

        Raises:
            JobHeld: another run holds the job.
            MeetingError: the bot cannot be started.
        """
        resources = self._resources
        job = await answered(resources.clock, self._take, START_SECONDS)
        if self.over:
            return
        self._storage = await answered(
            resources.clock, lambda: resources.storage_of(job), START_SECONDS
        )
        if job.room_url is None:
            await scripted_room(resources, job)
        self._spec = await answered(resources.clock, lambda: spec_of(resources, job), START_SECONDS)
        self._channel = DatabaseChannel(
            resources.database,
            resources.clock,
            self.job_id,
            job.fence,
            lease_seconds=resources.settings.bot.lease_seconds,
        )
        self._line = await self._stack.enter_async_context(
            open_line(resources, job, self._channel, self._postman.wake)
        )
        keeper = asyncio.create_task(self._keep_lease(self._channel), name="lease")
        self._stack.push_async_callback(ended, keeper)
        if self.status in BEFORE_ROOM:
            self._past = Past(status=self.status)
        else:
            self._resumed = job
            if not await recovery.all_here(self._storage, job.id, self.work_dir):
                # It has to come from storage, which takes its time: that is part of `join`.
                return
            await self._take_up(job)
        if not self._delivers_only and self._seconds_ahead() <= 0:
            await self._start_bot()

    async def _take_up(self, job: Job) -> None:
        """After earlier attempts: back into the meeting, or only deliver what they recorded."""
        left = await answered(
            self._resources.clock,
            lambda: recovery.look_back(self._resources, self._storage, job, self.work_dir),
            START_SECONDS,
        )
        plan = recovery.plan(job, left)
        log.info("%s: attempt %d, back into the meeting: %s", job.id, job.fence, plan.goes_back)
        self._resumed, self._past = None, left.past
        self._took_over, self._to_fetch = True, not left.complete
        self._delivers_only = not plan.goes_back
        self.outcome.exit_reason = plan.exit_reason
        self.outcome.cancelled = plan.exit_reason is ExitReason.CANCELLED

    async def join(self) -> None:
        """One attempt to get into the room, not before `joinAt` (D11). Raises MeetingError.

        After earlier attempts the bot goes back into a meeting that it was in, unless nobody wants
        it there any more (D10).
        """
        if self._resumed is not None:
            await self._take_up(self._resumed)
        if self._spec is None or self._delivers_only:
            return
        if await self._withdrawn_before_due():
            self.outcome.cancelled = True
            return
        session = self._session or await self._start_bot()
        await session.join()
        if self.status in BEFORE_ROOM:
            self.status = Status.IN_MEETING

    async def capture(self) -> None:
        """Record until the meeting, the customer or a failure ends it."""
        if self._session is None or self._spec is None:
            return
        resources = self._resources
        async with BundleUploader(
            self.work_dir,
            self._spec.fence,
            self._storage,
            resources.settings.bot.bundle_seconds,
            resources.clock,
        ):
            ending = await self._session.capture()
        outcome = self.outcome
        outcome.exit_reason = ending.exit_reason
        outcome.cancelled = ending.cancelled
        outcome.discard = ending.exit_reason is ExitReason.ENTRY_DELAY
        if ending.failure is not None:
            outcome.fail(ending.failure)

    async def finalize(self) -> None:
        """Make the final files from the journal."""
        await answered(self._resources.clock, self._left)
        storage = self._storage
        if self._to_fetch:
            await recovery.bring_here(storage, self.job_id, self.work_dir)
        try:
            recording = await delivery.finalize(self.work_dir, self.job_id)
        except JournalError:
            prefix = delivery.prefix(self.job_id)
            manifest = await recovery.delivered(storage, prefix) if self._took_over else None
            if manifest is None:
                raise
            self.outcome.take_over(manifest, storage.uri(f"{prefix}{MANIFEST_NAME}"))
            return
        self.outcome.conclude(recording)

    async def upload(self) -> None:
        """Put every media file into the bucket, verified.

        Raises:
            StaleAttempt: another attempt has the job, and delivers it.
        """
        if self.outcome.recording is not None:
            await self._still_ours()
            await delivery.upload(self.outcome.recording, self._storage)
            self.outcome.evidence = await evidence.send(self.work_dir, self.job_id, self._storage)

    async def transcribe(self) -> None:
        """Transcribe, when asked to, and write the manifest; then drop the local copies.

        Raises:
            TranscriptionError: there is no transcript; the manifest was written all the same.
            StorageError: transcript or manifest could not be stored; call again.
        """
        recording = self.outcome.recording
        if recording is None:
            return
        job = await answered(self._resources.clock, self._job)
        if self._transcript is None and self._silence is None:
            try:
                self._transcript = await delivery.transcribe(job, recording, self._resources)
            except TranscriptionError as error:
                self._silence = error
        await self._still_ours()
        outcome = self.outcome
        outcome.manifest_uri = await delivery.hand_over(
            job, outcome, self._transcript, self._silence, self._storage
        )
        outcome.kept = await delivery.discard(self.work_dir, self.job_id, self._storage)
        if self._silence is not None:
            raise self._silence

    async def postpone(self, error: StorageError) -> bool:
        """Leave what was recorded to later attempts of this machine; False when there is nothing.

        The job stays `finalizing`, and this run has done what it can (D9).
        """
        if not self.delivers:
            return False
        await answered(
            self._resources.clock,
            lambda: uploads.postpone(
                self._resources, self.job_id, self._fence, self.outcome, error
            ),
        )
        return True

    async def meter(self) -> None:
        """End the job: status, usage and last webhooks in one transaction."""
        resources = self._resources
        if self.outcome.discard:
            self.outcome.kept = await delivery.purge(self.work_dir, self.job_id, self._storage)
        job = await settling.end(resources, self.job_id, self.outcome, fence=self._fence or None)
        self.status = job.status
        self._postman.wake()

    async def notify(self) -> None:
        """Make sure that the first attempt of every webhook of this job was made."""
        await self._postman.deliver()

    # --- what they share ----------------------------------------------------------------------

    @property
    def work_dir(self) -> Path:
        return self._resources.settings.work_dir / self.job_id

    async def _still_ours(self) -> None:
        """Before what every attempt would write under the same names (D10)."""
        if self._channel is not None:
            await answered(self._resources.clock, self._channel.renew)

    async def _job(self) -> Job:
        async with self._resources.database.begin() as session:
            return await session.get_one(Job, self.job_id)

    def _seconds_ahead(self) -> float:
        """How long it is until `joinAt`; the run was started early to be ready then (D11)."""
        due = self._spec.join_at if self._spec is not None else None
        return (due - self._resources.clock.now()).total_seconds() if due is not None else 0

    async def _withdrawn_before_due(self) -> bool:
        """Wait for `joinAt`, the job still `queued` (API-54); whether it was cancelled then.

        The browser is started a little ahead of it, so that it costs nothing for long (D11).
        """
        ready = self._resources.settings.bot.ready_seconds
        while (ahead := self._seconds_ahead()) > 0:
            job = await answered(self._resources.clock, self._job, max(START_SECONDS, ahead))
            if job.cancel_requested_at is not None:
                return True
            if self._session is None and ahead <= ready:
                await self._start_bot()
            until = ahead if self._session is not None else ahead - ready
            await self._resources.clock.sleep(min(until, WAIT_SLICE_SECONDS))
        return False

    async def _start_bot(self) -> Session:
        if self._spec is None or self._line is None:
            raise StaleAttempt(f"No attempt holds {self.job_id}.")
        resources = self._resources
        if self.status is Status.QUEUED:
            await self._check_credit()
        self._session = await self._stack.enter_async_context(
            open_session(
                self._spec,
                resources.settings,
                self._line,
                resources.clock,
                past=self._past,
                storage=self._storage,
            )
        )
        return self._session

    async def _check_credit(self) -> None:
        """Before the first bot: the credit that there was at creation may be gone (BL-23, BL-24).

        Raises:
            QuotaExceeded: so it is.
        """
        resources = self._resources
        async with resources.database.begin() as session:
            job = await session.get_one(Job, self.job_id)
            await gate.check_due(session, job, enabled=resources.settings.billing.gated)

    async def _take(self) -> Job:
        resources = self._resources
        async with resources.database.begin() as session:
            job = await session.get_one(Job, self.job_id)
            self.status = job.status
            if not self.over:
                self._fence = await leases.acquire_lease(
                    session,
                    self.job_id,
                    self._holder,
                    seconds=resources.settings.bot.lease_seconds,
                    now=resources.clock.now(),
                )
        return job

    async def _keep_lease(self, channel: DatabaseChannel) -> None:
        """Renew the lease in every stage, until the run is over."""
        seconds = self._resources.settings.bot.lease_seconds / 3
        while True:
            await self._resources.clock.sleep(seconds)
            try:
                await channel.renew()
            except StaleAttempt:
                # The session learns it from its own reports and leaves.
                return
            except MeetbotError as error:
                log.warning("the lease could not be renewed: %s", error.message)

    async def _left(self) -> None:
        """The bot is out of the room, whatever brought it out."""
        async with self._resources.database.begin() as session:
            job = await session.get_one(Job, self.job_id)
            self.status = job.status
            if job.status in IN_CALL:
                moved = await service.apply_event(
                    session,
                    self.job_id,
                    Event.LEFT,
                    fence=self._fence,
                    now=self._resources.clock.now(),
                )
                self.status = moved.status
        self._postman.wake()

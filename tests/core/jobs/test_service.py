"""Events, cancelling, leaving and progress, against the database."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlmodel import col, select

from core.database import Database
from core.errors import InvalidState, NotFound, StaleAttempt
from core.jobs import commands, service
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import MOVES, TERMINAL, Event, RecordingState, Status
from core.jobs.listing import transitions
from core.jobs.models import Job, JobCommand
from core.jobs.service import LiveProgress, LiveSpeaker
from core.jobs.settlement import Settlement
from core.jobs.settlement import settle as settle_job
from core.jobs.verbs import Outcome, Verb
from core.webhooks.events import EventName
from core.webhooks.models import Delivery
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

LIVE = [status for status in Status if status not in TERMINAL]
REPORTED = [e for e in Event if e not in {Event.COMPLETED, Event.FAILED, Event.CANCELLED}]


async def deliveries(database: Database, job: Job) -> list[Delivery]:
    async with database.begin() as session:
        statement = select(Delivery).where(Delivery.job_id == job.id).order_by(col(Delivery.seq))
        return list((await session.exec(statement)).all())


async def open_commands(database: Database, job: Job) -> list[JobCommand]:
    async with database.begin() as session:
        return list(await commands.claim_open(session, job.id, job.fence))


@pytest.mark.parametrize("status", LIVE, ids=lambda status: status.value)
async def test_every_reported_event_moves_the_row_or_changes_nothing(
    book: JobBook, status: Status
) -> None:
    """LC-02, AR-11: the whole table, through the database."""
    for event in REPORTED:
        job = await book.add()
        fence = await book.bring_to(job, status)
        if (status, event) in MOVES:
            await book.report(job, event, fence)
            assert (await book.read(job)).status is MOVES[status, event]
        else:
            with pytest.raises(InvalidState):
                await book.report(job, event, fence)
            assert (await book.read(job)).status is status


async def test_the_normal_path_is_told_move_by_move(book: JobBook, database: Database) -> None:
    """LC-03, WH-02: as many status webhooks as moves, in order, with both statuses."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    done = Settlement(exit_reason=ExitReason.LEAVE_REQUESTED, recorded_seconds=90)
    async with database.begin() as session:
        await settle_job(session, job.id, done, fence=fence, now=book.now)

    sent = await deliveries(database, job)
    changes = [d.data for d in sent if d.event is EventName.STATUS_CHANGED]
    path = ["queued", "joining", "in_meeting", "recording", "finalizing", "completed"]
    assert [(c["previousStatus"], c["status"]) for c in changes] == list(itertools.pairwise(path))
    async with database.begin() as session:
        moves = await transitions(session, job.id)
    assert [move.status.value for move in moves] == path[1:]


async def test_recording_state_follows_stop_and_leave(book: JobBook) -> None:
    """LC-05."""
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    assert (await book.read(job)).recording_state is RecordingState.RECORDING
    await book.report(job, Event.RECORDING_STOPPED, fence)
    stopped = await book.read(job)
    assert (stopped.status, stopped.recording_state) == (Status.IN_MEETING, RecordingState.STOPPED)


async def test_leaving_before_any_media_keeps_the_recording_not_started(book: JobBook) -> None:
    job = await book.add()
    fence = await book.bring_to(job, Status.IN_MEETING)
    await book.report(job, Event.LEFT, fence)
    assert (await book.read(job)).recording_state is RecordingState.NOT_STARTED


async def test_reports_of_an_outdated_attempt_are_refused(book: JobBook) -> None:
    """D10: every writer presents its number."""
    job = await book.add()
    old = await book.bring_to(job, Status.RECORDING)
    await book.take(job)
    with pytest.raises(StaleAttempt, match=job.id):
        await book.report(job, Event.LEFT, old)
    assert (await book.read(job)).status is Status.RECORDING


async def test_a_terminal_event_needs_a_settlement(book: JobBook) -> None:
    job = await book.add()
    fence = await book.take(job)
    with pytest.raises(InvalidState, match="settlement"):
        await book.report(job, Event.FAILED, fence)


async def test_cancelling_a_queued_job_ends_it_at_once(book: JobBook, database: Database) -> None:
    """LC-12: no bot, no bill, no usage event, and no finalized or failed webhook."""
    job = await book.add()
    async with database.begin() as session:
        cancelled = await service.request_cancel(session, job.id, now=book.now)
    assert cancelled.over
    after = await book.read(job)
    assert (after.status, after.exit_reason) == (Status.CANCELLED, ExitReason.CANCELLED)
    assert after.billed is False
    assert [d.event for d in await deliveries(database, job)] == [EventName.STATUS_CHANGED]


@pytest.mark.parametrize("status", [s for s in LIVE if s is not Status.FINALIZING])
async def test_cancelling_a_job_with_a_bot_tells_the_bot(
    book: JobBook, database: Database, status: Status
) -> None:
    """LC-12, LC-13: the bot ends it, after delivering what it has."""
    job = await book.add()
    await book.bring_to(job, status)
    async with database.begin() as session:
        cancelled = await service.request_cancel(session, job.id, now=book.now)
    assert not cancelled.over
    assert (await book.read(job)).status is status
    assert [c.verb for c in await open_commands(database, job)] == [Verb.CANCEL]


@pytest.mark.parametrize("status", [Status.JOINING, Status.ENTERING_LOBBY])
async def test_cancelling_when_the_bot_has_died_ends_the_job_and_outdates_the_bot(
    book: JobBook, database: Database, status: Status
) -> None:
    job = await book.add()
    fence = await book.bring_to(job, status)
    book.clock.advance(11)
    async with database.begin() as session:
        cancelled = await service.request_cancel(session, job.id, now=book.now)
    assert cancelled.over
    with pytest.raises(StaleAttempt):
        await book.report(job, Event.ADMITTED, fence)


@pytest.mark.parametrize(
    ("failing", "status"),
    [(False, Status.COMPLETED), (True, Status.FAILED)],
    ids=["completed", "failed"],
)
async def test_what_is_over_cannot_be_cancelled(
    book: JobBook, database: Database, failing: bool, status: Status
) -> None:
    """API-03."""
    job = await book.add()
    await book.bring_to(job, Status.FINALIZING)
    with pytest.raises(InvalidState, match="finalizing"):
        async with database.begin() as session:
            await service.request_cancel(session, job.id, now=book.now)
    ending: dict[str, Any] = {"failure_code": "network_loss"} if failing else {}
    settlement = Settlement(exit_reason=ExitReason.CALL_ENDED, **ending)
    async with database.begin() as session:
        await settle_job(session, job.id, settlement, now=book.now)
    with pytest.raises(InvalidState, match=status.value):
        async with database.begin() as session:
            await service.request_cancel(session, job.id, now=book.now)


async def test_cancelling_twice_is_no_error(book: JobBook, database: Database) -> None:
    job = await book.add()
    for _ in range(2):
        async with database.begin() as session:
            assert (await service.request_cancel(session, job.id, now=book.now)).over
    assert len(await deliveries(database, job)) == 1


@pytest.mark.parametrize("status", LIVE, ids=lambda status: status.value)
async def test_leave_call_over_the_statuses(
    book: JobBook, database: Database, status: Status
) -> None:
    """API-68: leaves in the call, cancels before it, refused after it."""
    job = await book.add()
    await book.bring_to(job, status)
    if status is Status.FINALIZING:
        with pytest.raises(InvalidState, match="finalizing"):
            async with database.begin() as session:
                await service.request_leave(session, job.id, now=book.now)
        return
    async with database.begin() as session:
        left = await service.request_leave(session, job.id, now=book.now)
    in_call = status in {Status.IN_MEETING, Status.RECORDING}
    assert left.command.verb is (Verb.LEAVE if in_call else Verb.CANCEL)
    assert [c.id for c in await open_commands(database, job)] == [left.command.id]


async def test_leave_call_of_a_job_without_a_bot_cancels_it_with_a_settled_command(
    book: JobBook, database: Database
) -> None:
    job = await book.add()
    async with database.begin() as session:
        left = await service.request_leave(session, job.id, now=book.now)
    assert left.over
    assert left.command.outcome is Outcome.DONE
    assert (await book.read(job)).status is Status.CANCELLED


async def test_a_command_keeps_its_first_answer(book: JobBook, database: Database) -> None:
    job = await book.add()
    await book.bring_to(job, Status.RECORDING)
    async with database.begin() as session:
        left = await service.request_leave(session, job.id, now=book.now)
    for outcome in (Outcome.REFUSED, Outcome.DONE):
        async with database.begin() as session:
            settled = await commands.settle(session, left.command.id, outcome, now=book.now)
    assert settled.outcome is Outcome.REFUSED
    assert await open_commands(database, job) == []


async def test_an_unsettled_command_is_seen_again_by_the_next_attempt(
    book: JobBook, database: Database
) -> None:
    """D3: state verbs are applied again until the state holds."""
    job = await book.add()
    await book.bring_to(job, Status.RECORDING)
    async with database.begin() as session:
        left = await service.request_leave(session, job.id, now=book.now)
        await commands.claim_open(session, job.id, 1)
    fence = await book.take(job)
    async with database.begin() as session:
        again = await commands.claim_open(session, job.id, fence)
    assert [(c.id, c.claimed_fence) for c in again] == [(left.command.id, fence)]


async def test_progress_is_kept_and_an_outdated_attempt_cannot_write_it(
    book: JobBook, database: Database
) -> None:
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    speaker = LiveSpeaker(
        participant_id="prt_1", display_name="Ada", level=0.5, recorded_seconds=3.2
    )
    progress = LiveProgress(
        at=book.now, recorded_seconds=3.5, bytes_journalled=4096, participants=(speaker,)
    )
    async with database.begin() as session:
        await service.save_progress(session, job.id, progress, fence=fence, now=book.now)
    kept = (await book.read(job)).progress
    assert kept is not None
    assert LiveProgress.model_validate(kept) == progress
    with pytest.raises(StaleAttempt):
        async with database.begin() as session:
            await service.save_progress(session, job.id, progress, fence=fence + 1, now=book.now)


async def test_an_unknown_job_is_said_to_be_unknown(database: Database, book: JobBook) -> None:
    with pytest.raises(NotFound, match="job_none"):
        async with database.begin() as session:
            await service.request_cancel(session, "job_none", now=book.now)

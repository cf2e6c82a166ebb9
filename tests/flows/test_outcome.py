"""What stages learn of a meeting's end, and what the job store is told of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core.errors import (
    BotFault,
    HostDenied,
    JobCancelled,
    LobbyTimeout,
    MeetingError,
    RemovedFromMeeting,
    StorageError,
)
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event
from core.recordings.recording import Recording
from flows.outcome import Outcome

pytestmark = pytest.mark.unit

NOW = datetime(2026, 5, 9, 14, 0, tzinfo=UTC)


def recording(seconds: int) -> Recording:
    return Recording(
        job_id="job_1",
        started_at=NOW,
        ended_at=NOW,
        recorded_seconds=seconds,
        exit_reason=ExitReason.LEAVE_REQUESTED,
        participants=(),
        media=(),
    )


def test_the_first_failure_counts() -> None:
    outcome = Outcome()
    outcome.fail(RemovedFromMeeting("The host removed the bot."))
    outcome.fail(StorageError("The bucket is away."))
    settled = outcome.settlement()
    assert settled.failure_code is FailureCode.REMOVED_FROM_MEETING
    assert settled.failure_detail == "The host removed the bot."
    assert settled.event is Event.FAILED


def test_what_nobody_raised_on_purpose_is_our_fault_and_named() -> None:
    """FC-10: `internal_error` with the class of the exception."""
    outcome = Outcome()
    outcome.fail(ZeroDivisionError("division by zero"))
    settled = outcome.settlement()
    assert settled.failure_code is FailureCode.INTERNAL_ERROR
    assert settled.failure_detail == "ZeroDivisionError: division by zero"
    assert settled.exit_reason is ExitReason.ERROR


def test_a_failure_keeps_the_reason_for_which_the_bot_left() -> None:
    outcome = Outcome(exit_reason=ExitReason.LEAVE_REQUESTED)
    outcome.fail(StorageError("The bucket is away."))
    assert outcome.settlement().exit_reason is ExitReason.LEAVE_REQUESTED


def test_a_job_withdrawn_at_the_door_is_cancelled() -> None:
    """LC-12: not a failure, and nothing after it makes it one."""
    outcome = Outcome()
    outcome.fail(JobCancelled("The job was cancelled."))
    outcome.fail(BotFault("The browser did not close."))
    settled = outcome.settlement()
    assert (settled.cancelled, settled.failure_code) == (True, None)
    assert settled.exit_reason is ExitReason.CANCELLED
    assert settled.event is Event.CANCELLED


def test_a_cancelled_job_never_has_a_failure() -> None:
    outcome = Outcome(failure=HostDenied("No."), cancelled=True)
    settled = outcome.settlement()
    assert (settled.failure_code, settled.failure_detail) == (None, None)
    assert settled.exit_reason is ExitReason.CANCELLED


def test_seconds_and_manifest_are_passed_on() -> None:
    outcome = Outcome(
        exit_reason=ExitReason.SILENCE,
        recording=recording(61),
        manifest_uri="s3://bucket/manifest.json",
        transcribed=True,
        ended_at=NOW,
    )
    settled = outcome.settlement()
    assert (settled.recorded_seconds, settled.transcribed) == (61, True)
    assert settled.manifest_uri == "s3://bucket/manifest.json"
    assert settled.ended_at == NOW
    assert settled.event is Event.COMPLETED


def test_without_a_recording_no_seconds_are_claimed() -> None:
    assert Outcome().settlement().recorded_seconds is None


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        (ExitReason.ERROR, FailureCode.INTERNAL_ERROR),
        (ExitReason.KICKED, FailureCode.REMOVED_FROM_MEETING),
        (ExitReason.NETWORK_LOSS, FailureCode.NETWORK_LOSS),
        (ExitReason.ENTRY_DELAY, FailureCode.LOBBY_TIMEOUT),
        *(
            (reason, None)
            for reason in ExitReason
            if reason.value
            in {
                "alone_in_room",
                "silence",
                "max_duration",
                "host_left",
                "call_ended",
                "leave_requested",
                "competing_bot",
            }
        ),
    ],
)
def test_a_new_attempt_learns_from_the_journal_how_it_ended(
    reason: ExitReason, failure: FailureCode | None
) -> None:
    """D10: the process died; its journal says why the bot left."""
    outcome = Outcome()
    outcome.learn(reason)
    settled = outcome.settlement()
    assert (settled.exit_reason, settled.failure_code) == (reason, failure)
    assert outcome.discard is (reason is ExitReason.ENTRY_DELAY)
    assert not settled.cancelled


def test_a_journal_that_ended_by_a_cancel_makes_a_cancelled_job() -> None:
    outcome = Outcome()
    outcome.learn(ExitReason.CANCELLED)
    assert outcome.settlement().event is Event.CANCELLED


def test_a_cancel_that_the_dead_process_never_heard_still_cancels() -> None:
    """The customer asked before the process died; the journal only knows that it died."""
    outcome = Outcome(cancelled=True)
    outcome.learn(ExitReason.ERROR)
    settled = outcome.settlement()
    assert (settled.event, settled.failure_code) == (Event.CANCELLED, None)


@pytest.mark.parametrize("make", [LobbyTimeout, RemovedFromMeeting, BotFault])
def test_meeting_errors_keep_their_words(make: Callable[[str], MeetingError]) -> None:
    outcome = Outcome()
    outcome.fail(make("As the page said."))
    assert outcome.settlement().failure_detail == "As the page said."

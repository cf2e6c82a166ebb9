"""What the log of a run says of its stages (AR-09)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import RemovedFromMeeting
from core.jobs.failures import ExitReason
from core.recordings.recording import Span
from flows import telling
from flows.outcome import Outcome
from tests.flows.recorded import NAME, recording

pytestmark = pytest.mark.unit

URI = "s3://bucket/recordings/job_01H/manifest.json"


def test_a_meeting_is_told_stage_by_stage_without_names() -> None:
    made = replace(
        recording(), gaps=(Span(1_000, 2_000, "rejoin"),), texts={"chat.json": Path("unused")}
    )
    outcome = Outcome(exit_reason=ExitReason.LEAVE_REQUESTED, recording=made, manifest_uri=URI)
    told = [
        telling.entered(outcome, delivers=True),
        telling.left(outcome),
        telling.finalized(outcome),
        telling.uploaded(outcome.recording),
        telling.handed_over(outcome),
    ]
    assert told == [
        "In the room.",
        "Out of the room: leave_requested.",
        "61 s recorded: 1 per-speaker, 1 gap.",
        "In storage and verified: 2 objects, 12,345 bytes of media.",
        f"The manifest is {URI}",
    ]
    assert NAME not in str(told)


def test_a_meeting_that_goes_wrong_is_told_with_the_failure() -> None:
    outcome = Outcome()
    outcome.fail(RemovedFromMeeting("The host removed the bot."))
    said = "Out of the room: error. removed_from_meeting: The host removed the bot."
    assert telling.left(outcome) == said


def test_a_meeting_without_a_recording_is_said_to_have_none() -> None:
    withdrawn = Outcome(cancelled=True)
    assert telling.entered(withdrawn, delivers=False).startswith("Withdrawn")
    assert telling.finalized(withdrawn) == "Nobody was recorded."
    assert telling.uploaded(None) == "Nothing to upload."
    assert telling.handed_over(withdrawn) == "There is no manifest: nobody was recorded."
    assert "earlier attempt" in telling.finalized(Outcome(manifest_uri=URI))

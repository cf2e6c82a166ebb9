"""How a meeting went, as far as it is known: each stage adds what it learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from core.errors import (
    BotFault,
    JobCancelled,
    LobbyTimeout,
    MeetingError,
    NetworkLoss,
    RemovedFromMeeting,
)
from core.jobs.failures import ExitReason
from core.jobs.settlement import Settlement
from core.recordings.evidence import EvidenceFile
from core.recordings.manifest import Manifest
from core.recordings.recording import Recording

DIED: Final = (
    "The bot's process died during the meeting; what it had recorded until then was delivered."
)


@dataclass
class Outcome:
    """The first failure counts: what goes wrong after it is a consequence.

    `discard` says that nobody was ever recorded, so nothing is delivered (LC-12, LC-26).
    """

    exit_reason: ExitReason | None = None
    failure: MeetingError | None = None
    cancelled: bool = False
    discard: bool = False
    ended_at: datetime | None = None
    recording: Recording | None = None
    # Of a recording that an earlier attempt delivered.
    recorded_seconds: int | None = None
    manifest_uri: str | None = None
    # Our add-on made a transcript; a provider's is no charge of ours (BL-16).
    transcribed: bool = False
    # The manifest does not wait for its transcript.
    transcript_later: bool = False
    # In storage already.
    evidence: tuple[EvidenceFile, ...] = ()
    # What the bucket would not let go of, in words.
    kept: str | None = None

    def fail(self, error: BaseException) -> None:
        """Note an error. One that nobody raised on purpose is our own fault (FC-10).

        A job that was withdrawn before its bot was in the room is cancelled, not failed (LC-12).
        """
        if self.failure is not None or self.cancelled:
            return
        if isinstance(error, JobCancelled):
            self.cancelled = True
            return
        if isinstance(error, MeetingError):
            self.failure = error
        else:
            self.failure = BotFault(f"{type(error).__name__}: {error}")
        self.exit_reason = self.exit_reason or ExitReason.ERROR

    def learn(self, reason: ExitReason) -> None:
        """Take over how an earlier attempt's journal says that the meeting ended."""
        self.exit_reason = reason
        match reason:
            case ExitReason.ERROR:
                self.fail(BotFault(DIED))
            case ExitReason.KICKED:
                self.fail(RemovedFromMeeting("The bot was removed from the meeting."))
            case ExitReason.NETWORK_LOSS:
                self.fail(NetworkLoss("The connection to the meeting was lost."))
            case ExitReason.CANCELLED:
                self.cancelled = True
            case ExitReason.ENTRY_DELAY:
                self.discard = True
                self.fail(LobbyTimeout("Nobody came to the meeting."))

    def conclude(self, recording: Recording) -> None:
        """Here is what was recorded. Where nobody saw how it ended, its journal says so."""
        if self.cancelled:
            self.exit_reason = ExitReason.CANCELLED
        elif self.exit_reason is None:
            self.learn(recording.exit_reason)
        self.ended_at = recording.ended_at
        reason = self.exit_reason or recording.exit_reason
        self.recording = None if self.discard else replace(recording, exit_reason=reason)

    def take_over(self, manifest: Manifest, uri: str) -> None:
        """An earlier attempt delivered everything and died before it could say so."""
        self.exit_reason = manifest.exit_reason
        self.cancelled = manifest.exit_reason is ExitReason.CANCELLED
        if manifest.failure_code is not None:
            self.learn(manifest.exit_reason)
            self.fail(BotFault(DIED))
        self.recorded_seconds = manifest.recorded_seconds
        made = manifest.transcripts[-1].mode if manifest.transcripts else "addon"
        self.transcribed = manifest.transcript == "ready" and made == "addon"
        self.transcript_later = manifest.transcript == "pending"
        self.manifest_uri, self.ended_at = uri, manifest.ended_at
        self.evidence = tuple(manifest.evidence)

    def settlement(self) -> Settlement:
        """What the job store is told at the end."""
        failure = None if self.cancelled else self.failure
        reason = ExitReason.CANCELLED if self.cancelled else self.exit_reason
        return Settlement(
            exit_reason=reason or ExitReason.CALL_ENDED,
            failure_code=failure.failure if failure else None,
            failure_detail=failure.message if failure else None,
            adapter_error=failure.adapter_error if failure else None,
            cancelled=self.cancelled,
            recorded_seconds=self.recording.recorded_seconds
            if self.recording
            else self.recorded_seconds,
            manifest_uri=self.manifest_uri,
            ended_at=self.ended_at,
            transcribed=self.transcribed,
            transcript_later=self.transcript_later,
            evidence=self.evidence,
        )

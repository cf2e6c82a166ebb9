"""What a stage says in its run's log when it is done: numbers and ids, no names (AR-09)."""

from __future__ import annotations

from collections import Counter

from core.recordings.recording import Recording
from flows.outcome import Outcome


def entered(outcome: Outcome, delivers: bool) -> str:
    """After `join`; `delivers` when the meeting was entered, by whichever attempt."""
    if outcome.cancelled:
        return "Withdrawn; the bot does not go on with the meeting."
    return "In the room." if delivers else "Not in the room."


def left(outcome: Outcome) -> str:
    """After `capture`."""
    said = f"Out of the room: {outcome.exit_reason or 'nothing was left to record'}."
    if outcome.failure is None:
        return said
    return f"{said} {outcome.failure.failure}: {outcome.failure.message}"


def finalized(outcome: Outcome) -> str:
    """After `finalize`: how much there is of what."""
    recording = outcome.recording
    if recording is None:
        delivered = outcome.manifest_uri is not None
        return "An earlier attempt has delivered it." if delivered else "Nobody was recorded."
    kinds = Counter(str(media.kind) for media in recording.media)
    parts = [f"{count} {kind}" for kind, count in sorted(kinds.items())]
    if recording.gaps:
        parts.append(f"{len(recording.gaps)} gap{'s' if len(recording.gaps) > 1 else ''}")
    return f"{recording.recorded_seconds} s recorded: {', '.join(parts) or 'no media'}."


def uploaded(recording: Recording | None) -> str:
    """After `upload`."""
    if recording is None:
        return "Nothing to upload."
    count = len(recording.media) + len(recording.texts)
    size = sum(media.bytes for media in recording.media)
    return f"In storage and verified: {count} objects, {size:,} bytes of media."


def handed_over(outcome: Outcome) -> str:
    """After `transcribe`."""
    if outcome.manifest_uri is None:
        return "There is no manifest: nobody was recorded."
    return f"The manifest is {outcome.manifest_uri}"

"""Who a track belongs to, over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.recordings.recording import Attribution, Isolation

Source = Literal["microphone", "camera", "screen"]


@dataclass(frozen=True)
class TrackAssignment:
    """A claim about a track: whose it is, what it shows, how that is known, how sure (0-1).

    `track_id` is the id of the MediaStreamTrack in the page.
    """

    track_id: str
    participant_id: str
    source: Source
    attribution: Attribution
    isolation: Isolation
    confidence: float


@dataclass(frozen=True)
class SourceOwner:
    """A claim about a contributing source: whose voice it is in packets that name it.

    `participant_id` is None for what is nobody's voice, such as the bot's own. A decimal number
    in the RTP header; the page learns from its signalling whose it is.
    """

    csrc: int
    participant_id: str | None
    isolation: Isolation
    confidence: float


@dataclass(frozen=True)
class Mix:
    """A track holds whoever is speaking, and `attribution` says how that is known."""

    track_id: str
    attribution: Attribution
    confidence: float


class Owners:
    """The owners of all tracks. The first claim about a track covers its past too."""

    def __init__(self) -> None:
        self._claims: dict[str, list[tuple[float, TrackAssignment]]] = {}

    def assign(self, assignment: TrackAssignment, now_ms: float) -> bool:
        """Take a claim into account from `now_ms` on; False when it changes nothing."""
        claims = self._claims.setdefault(assignment.track_id, [])
        if claims and claims[-1][1] == assignment:
            return False
        claims.append((now_ms if claims else float("-inf"), assignment))
        return True

    def at(self, track_id: str, moment_ms: float) -> TrackAssignment | None:
        """Whose the track was at that moment."""
        for since, assignment in reversed(self._claims.get(track_id, [])):
            if since <= moment_ms:
                return assignment
        return None

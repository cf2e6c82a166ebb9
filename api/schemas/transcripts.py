"""Transcripts as they go out (API-74)."""

from __future__ import annotations

from api.schemas.wire import Response


class SegmentOut(Response):
    """Consecutive words of one speaker; seconds since the recording began."""

    participant_id: str
    speaker_label: str
    display_name: str
    start: float
    end: float
    text: str


class TranscriptOut(Response):
    """Everybody's words, in the order in which they were begun."""

    job_id: str
    status: str
    provider: str
    language: str
    text: str
    segments: list[SegmentOut]

"""A recording in its final form, whose files nobody opens."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.jobs.failures import ExitReason
from core.recordings.recording import MediaFile, Participant, Recording

NOW = datetime(2026, 5, 9, 14, 0, tzinfo=UTC)
NAME = "Ada Lovelace"


def recording() -> Recording:
    person = Participant("prt_1", "page-7", NAME, "A")
    audio = MediaFile(
        track_id="trk_1",
        kind="per-speaker",
        name="audio.prt_1.ogg",
        path=Path("unused"),
        mime_type="audio/ogg",
        encoding="audio/ogg; codecs=opus",
        bytes=12_345,
        sha256="0" * 64,
        participant_id="prt_1",
        start_offset_ms=0,
        end_offset_ms=61_500,
        attribution="track-owner",
    )
    return Recording("job_01H", NOW, NOW, 61, ExitReason.KICKED, (person,), (audio,))

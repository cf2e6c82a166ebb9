"""What is said about voices on shared tracks, on its way into the recording and its journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from bot.capture.attribution import Mix, SourceOwner
from bot.capture.audio import AudioRecorder
from bot.capture.mixes import MAX_SOURCES, source_key
from bot.recording.journal import JournalWriter
from core.recordings.journal import Attributed


class Voices:
    """Before the recording starts, what is said is kept; after it has ended, ignored.

    Args:
        guard: in it the disk may fail.
    """

    def __init__(self, guard: Callable[[], AbstractContextManager[None]]) -> None:
        self._guard = guard
        self._audio: AudioRecorder | None = None
        self._journal: JournalWriter | None = None
        self._sources: dict[int, SourceOwner] = {}
        self._mixes: dict[str, Mix] = {}
        # The mix that speech is about, and of whom that is written down.
        self._mix: Mix | None = None
        self._gated: set[tuple[str, Mix]] = set()

    def start(self, audio: AudioRecorder, journal: JournalWriter) -> None:
        """The recording begins: what was said before counts."""
        self._audio, self._journal = audio, journal
        for source in self._sources.values():
            self.own(source)
        for mix in self._mixes.values():
            self.declare(mix)

    def stop(self) -> None:
        """Nothing said from now on counts."""
        self._audio = self._journal = None

    def own(self, source: SourceOwner) -> None:
        """Say whose a contributing source is, on whatever tracks it is heard."""
        if self._audio is None or self._journal is None:
            if len(self._sources) < MAX_SOURCES:
                self._sources[source.csrc] = source
            return
        with self._guard():
            if self._audio.own(source) and source.participant_id is not None:
                self._write(
                    source_key(source.csrc),
                    source.participant_id,
                    attribution="csrc",
                    isolation=source.isolation,
                    confidence=source.confidence,
                )

    def declare(self, mix: Mix) -> None:
        """Say that a track holds whoever speaks."""
        if self._audio is None:
            if len(self._mixes) < MAX_SOURCES:
                self._mixes[mix.track_id] = mix
        elif self._audio.mixes.declare(mix):
            self._mix = mix

    def speaks(self, participant_id: str, at_ms: float, *, speaking: bool) -> None:
        """Somebody began or stopped to speak; ms since 1970."""
        if self._audio is None:
            return
        self._audio.mixes.speaks(participant_id, at_ms, speaking=speaking)
        mix = self._mix
        if not speaking or mix is None or (participant_id, mix) in self._gated:
            return
        # Headers say it better, and the page's signs only help.
        if self._audio.mixes.names(participant_id):
            return
        self._gated.add((participant_id, mix))
        with self._guard():
            self._write(
                mix.track_id,
                participant_id,
                attribution=mix.attribution,
                isolation="mixed-gated",
                confidence=mix.confidence,
            )

    def _write(self, track_id: str, participant_id: str, **how: Any) -> None:
        if self._journal is not None:
            self._journal.write(
                Attributed(
                    track_id=track_id, participant_id=participant_id, source="microphone", **how
                )
            )

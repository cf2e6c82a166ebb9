"""Figures of transcription: our packed talk time beside the same engine on whole files."""

from __future__ import annotations

import time
from pathlib import Path

from bench.figures import Figure, against
from core.settings import TranscriptionSettings
from sandbox.script import library
from tests.support.speech import Said, decode, tiny_model, write_track
from transcription.engines.whisper import WhisperEngine
from transcription.transcript import SpeakerTrack, transcribe

MEETING_SECONDS = 600.0
PAUSE_SECONDS = 12.0
ROUNDS = 2


def measure(folder: Path) -> list[Figure]:
    """Ten minutes of meeting in which three people talk in turns."""
    tracks, talk_seconds = _tracks(folder)
    engine = WhisperEngine(TranscriptionSettings(model=tiny_model()))
    # Loading the model is paid once per job, not per minute of speech.
    engine.words(decode(tracks[0].path)[:16_000], "en")
    ours: list[float] = []
    whole: list[float] = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        transcribe("job_bench", tracks, engine, "en")
        ours.append((time.monotonic() - began) / (talk_seconds / 60))
        began = time.monotonic()
        for track in tracks:
            engine.words(decode(track.path), "en")
        whole.append((time.monotonic() - began) / (talk_seconds / 60))
    return [
        against(
            *("transcription per minute of speech", ours, "s"),
            *("the same engine on the whole files", whole),
            note=f"tiny.en, {talk_seconds:.0f} s of speech in {MEETING_SECONDS:.0f} s of meeting",
        )
    ]


def _tracks(folder: Path) -> tuple[list[SpeakerTrack], float]:
    said: dict[str, list[Said]] = {}
    at = 1.0
    names = list(library().sentences)
    turn = 0
    while at < MEETING_SECONDS - 10:
        name = names[turn % len(names)]
        said.setdefault(library().sentences[name].speaker, []).append(Said(name, at))
        at += PAUSE_SECONDS
        turn += 1
    tracks: list[SpeakerTrack] = []
    talk_ms = 0
    for number, (speaker, lines) in enumerate(said.items()):
        path = folder / f"{speaker}.ogg"
        spans = write_track(path, lines, MEETING_SECONDS)
        talk_ms += sum(span.end_ms - span.start_ms for span in spans)
        tracks.append(
            SpeakerTrack(
                path=path,
                participant_id=f"prt_{speaker}",
                speaker_label="ABC"[number],
                display_name=speaker,
                duration_ms=int(MEETING_SECONDS * 1000),
                speech=spans,
            )
        )
    return tracks, talk_ms / 1000

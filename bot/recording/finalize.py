"""From journals to a recording: what was captured, in its final form (design.md D8).

A pure function of the work folder below the attempts' folders: run twice, it gives the same
files. It works on whatever a killed process left.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from bot.recording.people import People
from bot.recording.speakers import Sound, finish_speaker, load_sounds
from bot.recording.texts import write_texts
from bot.recording.timeline import Timeline, covered_ms, lay_out, merge
from bot.recording.videos import finish_videos
from core.clock import from_epoch_ms
from core.jobs.failures import ExitReason
from core.recordings.journal import read_journals
from core.recordings.recording import Caption, ChatMessage, MediaFile, Recording

FINAL_DIR: Final = "final"
_SUMMARY: Final = ".recording.json"


class _Summary(BaseModel):
    """What finalize made, and of what: unchanged input need not be finalized again."""

    fingerprint: str
    recording: Recording


_ADAPTER: Final[TypeAdapter[_Summary]] = TypeAdapter(_Summary)


def finalize(work_dir: Path) -> Recording:
    """Write the final files into `<work_dir>/final/` and say what they are.

    An attempt that ended without a word (killed) counts as `error`.

    Raises:
        JournalError: there is no journal, so nothing was recorded.
        OSError: the disk cannot be read or written.
    """
    fingerprint = _fingerprint(work_dir)
    done = _already_done(work_dir, fingerprint)
    if done is not None:
        return done
    timeline = lay_out(read_journals(work_dir))
    scratch = work_dir / f"{FINAL_DIR}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    recording = _finish(timeline, scratch)
    folder = work_dir / FINAL_DIR
    recording = _relocated(recording, folder)
    summary = _Summary(fingerprint=fingerprint, recording=recording)
    (scratch / _SUMMARY).write_bytes(_ADAPTER.dump_json(summary))
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    return recording


def final_files(work_dir: Path) -> Iterator[Path]:
    """Every finished object of a finalized work folder, in order of name."""
    folder = work_dir / FINAL_DIR
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.name != _SUMMARY)


def _finish(timeline: Timeline, folder: Path) -> Recording:
    people = People(timeline)
    sounds = load_sounds(timeline, people)
    length_ms = _length_ms(timeline, sounds)
    videos = finish_videos(timeline, people, folder)
    audio = [
        finish_speaker(person.id, sounds[person.id], length_ms, people, folder)
        for person in people.all()
        if person.id in sounds
    ]
    chat = tuple(_chat(timeline, people))
    captions = tuple(_captions(timeline, people))
    pauses = merge(list(timeline.pauses()))
    gaps = merge(list(timeline.gaps()))
    media: tuple[MediaFile, ...] = (*audio, *videos)
    return Recording(
        job_id=timeline.job_id,
        started_at=from_epoch_ms(timeline.t0_ms),
        ended_at=from_epoch_ms(timeline.t0_ms + length_ms),
        recorded_seconds=_recorded_seconds(length_ms, covered_ms([*pauses, *gaps]), media),
        exit_reason=_exit_reason(timeline),
        participants=people.all(),
        media=media,
        roster=tuple(sorted(people.roster(), key=lambda event: event.at)),
        chat=chat,
        captions=captions,
        pauses=pauses,
        gaps=gaps,
        texts=write_texts(chat, captions, folder),
    )


def _length_ms(timeline: Timeline, sounds: dict[str, list[Sound]]) -> int:
    ends = [sound.end_ms for parts in sounds.values() for sound in parts]
    return max(timeline.length_ms, *ends, 0)


def _recorded_seconds(length_ms: int, free_ms: int, media: tuple[MediaFile, ...]) -> int:
    """What is billed: whole seconds of wall time without pauses and gaps (D15, BL-03)."""
    return max(0, length_ms - free_ms) // 1000 if media else 0


def _exit_reason(timeline: Timeline) -> ExitReason:
    closed = timeline.attempts[-1].journal.closed
    return closed.exit_reason if closed else ExitReason.ERROR


def _chat(timeline: Timeline, people: People) -> Iterator[ChatMessage]:
    """Each message once: a meeting tells those who come back what was said before."""
    known: set[tuple[float, str, str]] = set()
    for attempt in timeline.attempts:
        for said in attempt.journal.chat:
            message = (said.at_ms, said.display_name, said.text)
            if message in known:
                continue
            known.add(message)
            yield ChatMessage(
                at=from_epoch_ms(said.at_ms),
                participant_id=people.canonical.get(said.participant_id or ""),
                display_name=said.display_name,
                text=said.text,
            )


def _captions(timeline: Timeline, people: People) -> Iterator[Caption]:
    for attempt in timeline.attempts:
        for said in attempt.journal.captions:
            yield Caption(
                start_ms=attempt.shift_ms + said.start_ms,
                end_ms=attempt.shift_ms + said.end_ms,
                participant_id=people.canonical.get(said.participant_id or ""),
                display_name=said.display_name,
                text=said.text,
            )


def _relocated(recording: Recording, folder: Path) -> Recording:
    """The same recording with its files in `folder`."""
    media = [replace(file, path=folder / file.name) for file in recording.media]
    texts = {name: folder / name for name in recording.texts}
    return replace(recording, media=tuple(media), texts=texts)


def _fingerprint(work_dir: Path) -> str:
    """Names and sizes of everything that attempts wrote; these files only grow."""
    digest = hashlib.sha256()
    for path in sorted(work_dir.glob("[0-9]*/*")):
        digest.update(f"{path.relative_to(work_dir)} {path.stat().st_size}\n".encode())
    digest.update(os.fspath(work_dir).encode())
    return digest.hexdigest()


def _already_done(work_dir: Path, fingerprint: str) -> Recording | None:
    try:
        summary = _ADAPTER.validate_json((work_dir / FINAL_DIR / _SUMMARY).read_bytes())
    except (OSError, ValidationError):
        return None
    recording = summary.recording
    intact = all(
        file.path.is_file() and file.path.stat().st_size == file.bytes for file in recording.media
    )
    texts = all(path.is_file() for path in recording.texts.values())
    return recording if summary.fingerprint == fingerprint and intact and texts else None

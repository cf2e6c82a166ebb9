"""A synthetic hour: three speakers and tab video, journalled as by a bot, then delivered for real.

The job is put where a bot would have left it; its flow run takes over from the journal.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import ffmpeg
import httpx
from sqlmodel import select

from bench.figures import Figure, at_most
from bot.capture.speaker import audio_stream_name, stream_serial
from bot.recording.journal import JournalWriter, StreamFile
from bot.recording.ogg import OggOpusMuxer
from core.clock import SystemClock, epoch_ms
from core.database import Database
from core.ids import new_id
from core.jobs import leases, service
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event
from core.jobs.models import Transition
from core.media import run_ffmpeg
from core.recordings.journal import Close, Open, ParticipantSeen, StreamOpened
from core.settings import Settings
from flows.delivery import prefix
from meetbot_server.demo.receiver import WebhookReceiver
from meetbot_server.prefect_setup import prefect_client
from sandbox.script import load_script

MINUTES: Final = 60
SPEAKERS: Final = 3
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = 960
SEGMENT_FRAMES: Final = 50 * 60
LOOP_SECONDS: Final = 20
WAIT_SECONDS: Final = 180.0


async def deliver_an_hour(
    settings: Settings, api: httpx.AsyncClient, receiver: WebhookReceiver
) -> Figure:
    """From the end of the meeting to `job.finalized`, without transcription."""
    answer = await api.post(
        "/api/v1/jobs",
        json={
            "meetingUrl": f"{settings.sandbox.origin}/r/hour",
            "joinAt": (SystemClock().now() + timedelta(hours=5)).isoformat(),
            "webhooks": {"onFinalize": receiver.url},
        },
    )
    answer.raise_for_status()
    job_id = str(answer.json()["id"])
    flow_run_id = await _put_into_the_meeting(settings, job_id)
    await asyncio.to_thread(write_hour, settings.work_dir / job_id, job_id)
    async with prefect_client(settings) as prefect:
        started = await prefect.post(
            f"/flow_runs/{flow_run_id}/set_state",
            json={"state": {"type": "SCHEDULED", "name": "Scheduled"}, "force": True},
        )
        started.raise_for_status()
    async with asyncio.timeout(WAIT_SECONDS):
        while not any(
            seen.event == "job.finalized" and seen.body["data"]["jobId"] == job_id
            for seen in receiver.received
        ):
            await asyncio.sleep(0.01)
    done = time.time()
    left = await _left_at(settings, job_id)
    seconds = done - left.timestamp()
    return at_most(
        *("leave to job.finalized, 60-minute recording", [seconds], "s", 5),
        note=f"{prefix(job_id)}: {SPEAKERS} speakers and tab video",
    )


async def _put_into_the_meeting(settings: Settings, job_id: str) -> str:
    """Move the job as its bot would have, and let go of it; returns its flow run."""
    now = SystemClock().now()
    database = _database(settings)
    try:
        async with database.begin() as session:
            fence = await leases.acquire_lease(session, job_id, "bench", seconds=1, now=now)
            for event in (Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED):
                job = await service.apply_event(session, job_id, event, fence=fence, now=now)
            await leases.release_lease(session, job_id, fence)
            return str(job.flow_run_id)
    finally:
        await database.close()


async def _left_at(settings: Settings, job_id: str) -> datetime:
    database = _database(settings)
    try:
        async with database.begin() as session:
            moved = await session.exec(
                select(Transition).where(
                    Transition.job_id == job_id, Transition.event == Event.LEFT
                )
            )
            return moved.one().at
    finally:
        await database.close()


def _database(settings: Settings) -> Database:
    if settings.database_url is None:
        raise ValueError("the stack has no database")
    return Database(settings.database_url)


def write_hour(work_dir: Path, job_id: str) -> None:
    """A closed journal of an hour; speech and silence repeat as in the scripted conversation."""
    t0 = epoch_ms(SystemClock().now()) - MINUTES * 60_000
    journal = JournalWriter(work_dir, Open(job_id=job_id, fence=1, t0_ms=t0))
    speech = [line.speech for line in load_script("conversation").lines]
    for number in range(SPEAKERS):
        participant_id = new_id("prt")
        journal.write(
            ParticipantSeen(
                id=participant_id,
                platform_id=str(number),
                display_name=f"Speaker {number + 1}",
                speaker_label="ABC"[number],
            )
        )
        stream = journal.open_stream(
            StreamOpened(
                stream=audio_stream_name(participant_id),
                kind="per-speaker",
                participant_id=participant_id,
            )
        )
        packets = [packet for spoken in speech for packet in spoken.packets]
        _fill(journal, stream, OggOpusMuxer(stream_serial(participant_id)), packets)
    tab = journal.open_stream(StreamOpened(stream="tab.webm", kind="tab-video"))
    tab.append(_hour_of_video(work_dir))
    journal.describe(tab, MINUTES * 60_000)
    journal.write(Close(at_ms=t0 + MINUTES * 60_000, exit_reason=ExitReason.LEAVE_REQUESTED))
    journal.close()


def _fill(
    journal: JournalWriter, stream: StreamFile, muxer: OggOpusMuxer, packets: list[bytes]
) -> None:
    frames = MINUTES * 60_000 // FRAME_MS
    for index in range(frames):
        muxer.add(packets[index % len(packets)], FRAME_SAMPLES)
        if (index + 1) % SEGMENT_FRAMES == 0:
            muxer.flush()
            stream.append(muxer.take())
            journal.describe(stream, (index + 1) * FRAME_MS)


def _hour_of_video(work_dir: Path) -> bytes:
    """VP9 at 1280x720 and 10 fps, without cues, as a recorder leaves it: a loop, copied."""
    loop, hour = work_dir / "loop.webm", work_dir / "hour.webm"
    picture = ffmpeg.input(f"testsrc2=size=1280x720:rate=10:duration={LOOP_SECONDS}", f="lavfi")
    encoded = picture.output(
        str(loop), vcodec="libvpx-vp9", deadline="realtime", **{"cpu-used": 8, "b:v": "800k"}
    )
    run_ffmpeg(encoded, 120)
    again = MINUTES * 60 // LOOP_SECONDS - 1
    copied = ffmpeg.input(str(loop), stream_loop=again).output(str(hour), c="copy", live=1)
    run_ffmpeg(copied, 120)
    data = hour.read_bytes()
    loop.unlink()
    hour.unlink()
    return data

"""Records two tones in real time until it is killed; run as a process by test_killed.py."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from bot.browser.bridge import Bridge
from bot.capture.attribution import TrackAssignment
from bot.capture.frames import FrameChunk, TrackSeen, pack_record
from bot.capture.recorder import Recorder
from core.clock import SystemClock
from core.jobs.spec import JobSpec, RecordingOptions
from core.recordings.recording import Participant
from tests.bot.synthetic import opus, send

BATCH_MS = 200
SECONDS = 60


class PageOfTones:
    """A bridge whose page is us: batches of both tracks, as the page's worker sends them."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}

    def on(self, kind: str, _model: type[BaseModel], handler: Callable[[Any], None]) -> None:
        self.handlers[kind] = handler

    async def call(self, _command: str, _args: object = None, *, timeout: float = 10) -> None:
        return None


async def main(work_dir: Path) -> None:
    clock = SystemClock()
    spec = JobSpec(
        job_id="job_01HXY1AB7M2QNTWA9YQRH5JEP6", fence=1, platform="sandbox", driver="sandbox",
        meeting_url="https://meet.test/", room_url="https://meet.test/", display_name="Notes",
        livemode=False, recording=RecordingOptions(video="off"),
    )  # fmt: skip
    page = PageOfTones()
    recorder = Recorder(spec, work_dir, cast(Bridge, page), clock)
    tones = [opus(440, SECONDS), opus(880, SECONDS)]
    await recorder.start()
    for index in range(2):
        id_ = f"prt_{index}"
        recorder.joined(Participant(id_, id_, id_, ""), recorder.now_ms())
        seen = TrackSeen(doc="d", index=index, trackId=f"t{index}", kind="audio")
        page.handlers["track"](seen)
        recorder.assign(
            TrackAssignment(f"t{index}", id_, "microphone", "track-owner", "track", 1.0)
        )
    start = recorder.now_ms()
    frames = sorted(
        (
            frame
            for index in range(2)
            for frame in send(tones[index], start, ssrc=index, index=index)
        ),
        key=lambda frame: frame.arrival_ms,
    )
    sys.stdout.write("recording\n")
    sys.stdout.flush()
    for number in range(SECONDS * 1000 // BATCH_MS):
        await clock.sleep(max(0.0, (start + (number + 1) * BATCH_MS - recorder.now_ms()) / 1000))
        until = start + (number + 1) * BATCH_MS
        batch = [f for f in frames if until - BATCH_MS <= f.arrival_ms < until]
        data = base64.b64encode(b"".join(map(pack_record, batch))).decode()
        page.handlers["frames"](
            FrameChunk(doc="d", n=number, first=True, at=recorder.now_ms(), data=data)
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

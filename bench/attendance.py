"""Figures of bots in a room: CPU per recorded minute, key-frame requests, memory.

Variants take turns (first all once, then all again), so that a change of the machine's mood hits
all of them. CPU is that of the whole process tree: Python, Playwright's driver, Chromium, ffmpeg.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.figures import Figure, against, at_most
from bench.process_tree import usage
from bench.rooms import Sandbox
from bot.browser.launch import find_chromium
from core.ids import new_id
from core.jobs.spec import JobSpec, RecordingOptions
from core.settings import Settings
from meetbot_server.environment import child_environment, settings_environment
from meetbot_server.supervisor import python

WINDOW_SECONDS = 30.0
SETTLE_SECONDS = 4.0
ROUNDS = 2
INSIDE_SECONDS = 90.0

BASELINE = "attending at 1280x720"
SMALL = "attending at 320x180"


@dataclass(frozen=True)
class Variant:
    """Somebody in the room, and whether the room's cameras can be refused."""

    name: str
    command: Callable[[str, str], list[str]]
    video_toggle: bool = False


@dataclass
class Seen:
    """What was measured of one variant, a value per round."""

    cpu_per_minute: list[float] = field(default_factory=list)
    pss_mib: list[float] = field(default_factory=list)
    key_frames: list[float] = field(default_factory=list)


def variants(settings: Settings) -> list[Variant]:
    """All rows of the CPU table, the baselines first."""
    chromium = str(find_chromium(settings.bot.chromium))

    def attending(width: int, height: int, *more: str) -> Callable[[str, str], list[str]]:
        def command(url: str, name: str) -> list[str]:
            size = (str(width), str(height))
            return python("-m", "bench.attendee", url, name, *size, chromium, *more)

        return command

    def bot(options: RecordingOptions, *more: str) -> Callable[[str, str], list[str]]:
        def command(url: str, name: str) -> list[str]:
            return lone_bot(url, name, options, *more)[1]

        return command

    off = RecordingOptions(video="off")
    rows = [
        Variant(BASELINE, attending(1280, 720)),
        Variant(SMALL, attending(320, 180)),
        Variant("audio, small viewport", bot(off, "decode")),
        Variant("audio, not receiving video", bot(off), video_toggle=True),
        Variant("audio, canned frames", bot(off)),
        Variant("audio + tab video 5 fps", bot(RecordingOptions(video="tab", fps=5))),
        Variant("audio + tab video 10 fps", bot(RecordingOptions(video="tab", fps=10))),
    ]
    if shutil.which("Xvfb") is not None:
        for fps in (5, 10):
            out = str(settings.data_dir / f"x11grab-{fps}.mkv")
            rows.append(
                Variant(f"x11grab x264 {fps} fps", attending(1280, 720, "x11grab", str(fps), out))
            )
    return rows


async def measure(settings: Settings, sandbox: Sandbox, say: Callable[[str], None]) -> list[Figure]:
    """Every variant `ROUNDS` times, taking turns."""
    seen: dict[str, Seen] = defaultdict(Seen)
    rows = variants(settings)
    for number in range(ROUNDS):
        for variant in rows:
            say(f"round {number + 1} of {ROUNDS}: {variant.name}")
            await _observe(settings, sandbox, variant, seen[variant.name])
    return _figures(seen)


async def _observe(settings: Settings, sandbox: Sandbox, variant: Variant, seen: Seen) -> None:
    room = await sandbox.room(video_toggle=variant.video_toggle)
    async with guest(settings, variant.command(room.guest_url, "bench")) as pid:
        await asyncio.sleep(SETTLE_SECONDS)
        asked = await sandbox.key_frame_requests(room.room_id)
        before, began = usage(pid), asyncio.get_running_loop().time()
        await asyncio.sleep(WINDOW_SECONDS)
        after, minutes = usage(pid), (asyncio.get_running_loop().time() - began) / 60
        seen.cpu_per_minute.append(after.cpu_since(before) / minutes)
        seen.pss_mib.append(after.pss_mib)
        seen.key_frames.append(await sandbox.key_frame_requests(room.room_id) - asked)
    await sandbox.client.delete(room.room_id)


@asynccontextmanager
async def guest(
    settings: Settings, command: Sequence[str], *, dies: bool = False
) -> AsyncIterator[int]:
    """Run a guest until the block ends; yields its process id once it is inside.

    Args:
        dies: the block kills it, so it is not asked to go.
    """
    log = settings.data_dir / "logs" / "bench-guests.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=child_environment(settings_environment(settings)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the guest has no pipes")
        async with asyncio.timeout(INSIDE_SECONDS):
            line = await process.stdout.readline()
        if line.strip() != b"inside":
            raise RuntimeError(f"a guest did not get in; see {log}")
        yield process.pid
        if not dies:
            process.stdin.close()
        async with asyncio.timeout(30):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def lone_bot(url: str, name: str, options: RecordingOptions, *more: str) -> tuple[str, list[str]]:
    """A bot for one job without a job store: the job's id and the command that runs it."""
    spec = JobSpec(
        job_id=new_id("job"),
        fence=1,
        platform="sandbox",
        driver="sandbox",
        meeting_url=url,
        room_url=url,
        display_name=name,
        livemode=False,
        recording=options,
    )
    return spec.job_id, python("-m", "bench.lone_bot", spec.model_dump_json(), *more)


def _figures(seen: dict[str, Seen]) -> list[Figure]:
    base, small = seen[BASELINE].cpu_per_minute, seen[SMALL].cpu_per_minute
    unit = "CPU-s/min"

    def plain(name: str, limit: float | None = None) -> Figure:
        samples = seen[name].cpu_per_minute
        ratio = sum(samples) / sum(small) if samples else 0.0
        note = f"{ratio:.2f} of {SMALL}"
        if limit is None:
            return against(name, samples, unit, BASELINE, base, note=note)
        return at_most(
            *(name, samples, unit, limit),
            baseline=BASELINE,
            baseline_samples=base,
            by_ratio=True,
            note=note,
        )

    figures = [
        against(BASELINE, base, unit),
        plain(SMALL),
        plain("audio, small viewport"),
        plain("audio, not receiving video"),
        plain("audio, canned frames", 0.8),
        plain("audio + tab video 5 fps", 2.1),
        plain("audio + tab video 10 fps", 2.8),
    ]
    for fps in (5, 10):
        name = f"x11grab x264 {fps} fps"
        if seen[name].cpu_per_minute:
            figures.append(plain(name))
        else:
            figures.append(Figure(name, None, unit, note="not measured: Xvfb is not installed"))
    asked = seen["audio, canned frames"].key_frames
    figures.append(
        at_most(
            *("key-frame requests with canned frames", asked, "in the window", 0),
            baseline=BASELINE,
            baseline_samples=seen[BASELINE].key_frames,
        )
    )
    return figures

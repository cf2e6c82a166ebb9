"""The baseline: a bare Playwright script that joins a room and does nothing else.

Run as `python -m bench.attendee URL NAME WIDTH HEIGHT CHROMIUM [x11grab FPS FILE]`; it prints
`inside` when it is in the room and stays until its input ends. With x11grab it shows its window on
an Xvfb and has ffmpeg record the screen, as bots without access to encoded media do.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from playwright.async_api import async_playwright

from core.media import ffmpeg_path

DISPLAY = ":97"


@dataclass(frozen=True)
class Attendance:
    url: str
    name: str
    width: int
    height: int
    chromium: str
    fps: int | None = None
    file: str | None = None


async def attend(plan: Attendance) -> None:
    """Join, say so, stay until stdin ends."""
    async with AsyncExitStack() as stack:
        if plan.fps is not None:
            await _started(stack, "Xvfb", DISPLAY, "-screen", "0", f"{plan.width}x{plan.height}x24")
            await asyncio.sleep(1)
        playwright = await stack.enter_async_context(async_playwright())
        # The bot's Chromium, without the bot.
        browser = await playwright.chromium.launch(
            executable_path=plan.chromium,
            headless=plan.fps is None,
            env={"DISPLAY": DISPLAY, "PATH": os.defpath} if plan.fps is not None else None,
            chromium_sandbox=os.geteuid() != 0,
            args=[
                "--allow-loopback-in-peer-connection",
                "--autoplay-policy=no-user-gesture-required",
                "--disable-features=WebRtcHideLocalIpsWithMdns",
                f"--window-size={plan.width},{plan.height}",
            ],
        )
        stack.push_async_callback(browser.close)
        page = await browser.new_page(viewport={"width": plan.width, "height": plan.height})
        await page.goto(plan.url)
        await page.get_by_test_id("name").fill(plan.name)
        await page.get_by_test_id("join").click()
        await page.get_by_test_id("room").wait_for()
        if plan.fps is not None and plan.file is not None:
            await _started(
                stack,
                *(ffmpeg_path(), "-y", "-loglevel", "error", "-f", "x11grab"),
                *("-framerate", str(plan.fps), "-video_size", f"{plan.width}x{plan.height}"),
                *("-i", DISPLAY, "-c:v", "libx264", "-preset", "veryfast", plan.file),
            )
        sys.stdout.write("inside\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


async def _started(stack: AsyncExitStack, *command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)

    async def end() -> None:
        if process.returncode is None:
            process.terminate()
        await process.wait()

    stack.push_async_callback(end)


def main(arguments: list[str]) -> None:
    url, name, width, height, chromium, *grab = arguments
    fps, file = (int(grab[1]), grab[2]) if grab else (None, None)
    asyncio.run(attend(Attendance(url, name, int(width), int(height), chromium, fps, file)))


if __name__ == "__main__":
    main(sys.argv[1:])

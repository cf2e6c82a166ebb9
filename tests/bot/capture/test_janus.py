"""A real media server and a page that nobody here wrote, recorded through the generic parts.

Debian's Janus with its own video-room demo: one connection for each person. People in it are told
apart by what the page shows, and their files by listening.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, Route

from bot.browser.bridge import Bridge
from bot.capture.page_parts import page_config, page_parts
from bot.capture.recorder import Recorder
from bot.competing import Notetakers
from bot.news import RoomNews
from bot.observing import RoomObserver
from bot.recording.finalize import finalize
from core.clock import SystemClock
from core.jobs.failures import ExitReason
from core.jobs.spec import RecordingOptions
from tests.bot.capture.conftest import PAGES, spec
from tests.bot.listening import decode, part, strength
from tests.support.janus import Janus, running_janus, unpacked

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(240)]

# Loopback, so that the page may ask for a microphone.
ORIGIN: Final = "http://127.0.0.1:8099"
# Where the demo looks for the server.
EXPECTED: Final = "http://127.0.0.1:8088"
CHECKOUT: Final = Path(__file__).parents[3]
TONES: Final = {"Ada": 440.0, "Ben": 1000.0}
AUDIO_ONLY: Final = RecordingOptions(video="off")
# Every microphone is a tone, every camera black; Debian's page wants a token it does not define.
DEVICES: Final = """(frequency) => {
  window.token = window.apisecret = null;
  navigator.mediaDevices.getUserMedia = async ({ video }) => {
    const context = new AudioContext();
    const tone = new OscillatorNode(context, { frequency });
    const volume = new GainNode(context, { gain: frequency ? 0.3 : 0 });
    const out = new MediaStreamAudioDestinationNode(context);
    tone.connect(volume).connect(out);
    tone.start();
    if (!video) return out.stream;
    const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 36 });
    canvas.getContext('2d');
    return new MediaStream([...out.stream.getTracks(), ...canvas.captureStream(1).getTracks()]);
  };
}"""


@pytest.fixture(scope="module")
def janus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Janus]:
    usr = unpacked(CHECKOUT / ".meetbot" / "janus")
    with running_janus(usr, tmp_path_factory.mktemp("janus")) as server:
        yield server


@pytest.fixture
async def context(browser: Browser, janus: Janus) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(bypass_csp=True, viewport={"width": 640, "height": 360})

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(f"{ORIGIN}/").partition("?")[0]
        file = janus.page(path)
        await (route.fulfill(path=file) if file else route.fulfill(status=404))

    async def pass_on(route: Route) -> None:
        # The demo asks for news and waits half a minute for them; a closed page needs none.
        with suppress(Error):
            url = route.request.url.replace(EXPECTED, janus.origin, 1)
            await route.fulfill(response=await route.fetch(url=url, timeout=60_000))

    await context.route(f"{ORIGIN}/**", serve)
    await context.route(f"{EXPECTED}/**", pass_on)
    yield context
    await context.close()


async def join(page: Page, name: str, frequency: float) -> None:
    await page.add_init_script(f"({DEVICES})({frequency})")
    await page.goto(f"{ORIGIN}/videoroomtest.html")
    await page.locator("#start").click()
    await page.locator("#username").fill(name)
    await page.locator("#register").click()


async def test_everybody_in_the_demo_has_a_file_of_their_own(
    context: BrowserContext, tmp_path: Path
) -> None:
    """PL-09: per-speaker audio from a real SFU, which gives all tracks the same id."""
    for name, frequency in TONES.items():
        await join(await context.new_page(), name, frequency)
    clock = SystemClock()
    page, bridge = await context.new_page(), Bridge(clock)
    recorder = Recorder(spec(AUDIO_ONLY), tmp_path / "job", bridge, clock)
    said: list[object] = []
    RoomObserver(bridge, recorder, clock, RoomNews(clock, said.append, Notetakers(), leaving=False))
    parts = [*page_parts(AUDIO_ONLY), PAGES / "janus.js"]
    await bridge.attach(page, parts, page_config(AUDIO_ONLY))
    await join(page, "Notes", 0)
    await recorder.start()
    async with asyncio.timeout(30):
        while len(recorder.progress().participants) < len(TONES):
            await asyncio.sleep(0.1)
        await recorder.media_captured.wait()
    await asyncio.sleep(4)
    await recorder.stop(ExitReason.LEAVE_REQUESTED)

    recording = await asyncio.to_thread(finalize, tmp_path / "job")
    names = {one.id: one.display_name for one in recording.participants}
    assert sorted(names.values()) == sorted(TONES)
    files = {names[file.participant_id or ""]: file for file in recording.media}
    assert files.keys() == TONES.keys()
    for name, file in files.items():
        sound = decode(file.path)
        middle = part(sound, file.end_offset_ms - 3000, file.end_offset_ms - 700)
        other = next(tone for whose, tone in TONES.items() if whose != name)
        assert strength(middle, TONES[name]) > -25, name
        assert strength(middle, other) < -60, name
    assert recorder.intake.alarms == []

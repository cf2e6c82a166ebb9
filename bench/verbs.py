"""From accepted request to effect in the call, for every verb, as another person there sees it.

The person is a page in a Chromium of its own, with its own decoders: what is measured ends when
the chat line is in its document, the tone in its speakers, the colour in its picture. Accepted is
when the API wrote the command down (`issuedAt`); everything is one machine's clock.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlmodel import col, select
from websockets.asyncio.client import ClientConnection, connect

from bench.figures import Figure, at_most
from bench.office import Office
from core.jobs.lifecycle import Event
from core.jobs.models import JobCommand
from sandbox.schemas import ParticipantView, RoomOptions
from tests.bot.session.showing import plain_mp4, plain_png, tone_wav
from tests.sandbox.browsers import Browsers, Visitor

ROUNDS: Final = 5
TARGET_MS: Final = 300
EFFECT_SECONDS: Final = 20.0
# Between two verbs, so that none waits for what another left behind.
REST_SECONDS: Final = 0.5
BOT: Final = "meetbot bench"
PERSON: Final = "Dana Visitor"
TONE_HZ: Final = 660
RED: Final = (200, 30, 30)
GREEN: Final = (32, 192, 32)
VIDEOS: Final = {"off": "audio only", "tab": "tab video"}

# What the person's page notices, and when: `notice.*` resolve to milliseconds since 1970.
NOTICE: Final = """globalThis.notice = {
  chat: (text) => new Promise((resolve) => {
    const list = document.querySelector('[data-testid="chat"]');
    const seen = new MutationObserver(() => {
      if (list.lastElementChild?.textContent !== text) return;
      seen.disconnect();
      resolve(Date.now());
    });
    seen.observe(list, { childList: true });
  }),
  sound: (name) => new Promise((resolve) => {
    const context = (globalThis.ear ??= new AudioContext());
    void context.resume();
    const analyser = new AnalyserNode(context, { fftSize: 256 });
    const samples = new Float32Array(256);
    let heard = null;
    let source = null;
    const timer = setInterval(() => {
      const tile = `[data-testid="tile"][data-display-name="${name}"]`;
      const stream = document.querySelector(`${tile} audio`)?.srcObject;
      const track = stream?.getAudioTracks()[0];
      if (!track) return;
      if (track !== heard) {
        source?.disconnect();
        heard = track;
        source = context.createMediaStreamSource(new MediaStream([track]));
        source.connect(analyser);
      }
      analyser.getFloatTimeDomainData(samples);
      if (Math.max(...samples) < 0.05) return;
      clearInterval(timer);
      source.disconnect();
      resolve(Date.now());
    }, 5);
  }),
  colour: ([name, kind, wanted]) => new Promise((resolve) => {
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const tile = `[data-testid="tile"][data-display-name="${name}"][data-kind="${kind}"]`;
    const timer = setInterval(() => {
      const video = document.querySelector(`${tile} video`);
      if (!video?.srcObject || video.hidden || video.videoWidth < 16) return;
      context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
      const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
      const far = [red, green, blue].some((part, index) => Math.abs(part - wanted[index]) > 40);
      if (far) return;
      clearInterval(timer);
      resolve(Date.now());
    }, 10);
  }),
};"""


@dataclass
class Meeting:
    """A job that records, and a person who watches its bot."""

    office: Office
    job_id: str
    room_id: str
    person: Visitor
    socket: ClientConnection
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def told(self, verb: str, body: dict[str, Any] | None = None) -> float:
        """Tell the bot; when that was accepted, ms since 1970."""
        accepted = await self.office.ask(self.job_id, verb, body)
        return datetime.fromisoformat(accepted["issuedAt"]).timestamp() * 1000

    async def noticed(self, name: str, what: str, about: Any, verb: str, body: Any) -> None:
        """Measure a verb whose effect the person's page notices."""
        page = self.person.page
        await page.evaluate(f"(about) => {{ globalThis.seen = notice.{what}(about); }}", about)
        accepted = await self.told(verb, body)
        async with self._effect(verb):
            seen: float = await page.evaluate("() => globalThis.seen")
        self.samples[name].append(seen - accepted)
        await asyncio.sleep(REST_SECONDS)

    async def reached(
        self,
        name: str,
        verb: str,
        holds: Callable[[ParticipantView | None], bool],
        body: Any = None,
    ) -> None:
        """Measure a verb whose effect the room's server knows of."""
        accepted = await self.told(verb, body)
        async with self._effect(verb):
            await self.until(holds)
        self.samples[name].append(time.time() * 1000 - accepted)
        await asyncio.sleep(REST_SECONDS)

    async def until(self, holds: Callable[[ParticipantView | None], bool]) -> None:
        while True:
            people = (await self.office.sandbox.room(self.room_id)).participants
            if holds(next((one for one in people if one.display_name == BOT), None)):
                return

    async def recording(self, name: str, verb: str, state: str) -> None:
        """Measure a verb whose effect is what is recorded: when the job says so."""
        accepted = await self.told(verb)
        async with self._effect(verb):
            while True:
                event = json.loads(await self.socket.recv())
                data = event.get("data") or {}
                if event.get("event") == "status" and data.get("recordingState") == state:
                    break
        self.samples[name].append(time.time() * 1000 - accepted)
        await asyncio.sleep(REST_SECONDS)

    @asynccontextmanager
    async def _effect(self, verb: str) -> AsyncIterator[None]:
        """Wait so long for an effect; then the bot's last answers say why there is none."""
        try:
            async with asyncio.timeout(EFFECT_SECONDS):
                yield
        except TimeoutError:
            async with self.office.database.begin() as session:
                asked = select(JobCommand).where(JobCommand.job_id == self.job_id)
                found = await session.exec(
                    asked.order_by(col(JobCommand.issued_at).desc()).limit(2)
                )
                answers = [(one.verb, one.outcome, one.detail) for one in found.all()]
            raise RuntimeError(f"no effect of {verb}: {answers}") from None

    async def stop_output(self) -> None:
        """Everything off again, measured at the room's server."""
        path = f"/api/v1/jobs/{self.job_id}/output-media"
        asked = time.time() * 1000
        (await self.office.api.delete(path)).raise_for_status()
        async with self._effect("stop-output-media"):
            await self.until(lambda bot: bot is not None and _silent(bot))
        self.samples["stop-output-media"].append(time.time() * 1000 - asked)
        await asyncio.sleep(REST_SECONDS)


def _silent(bot: ParticipantView) -> bool:
    return (bot.microphone, bot.camera, bot.screen) == (False, False, None)


async def measure(office: Office) -> list[Figure]:
    """Every verb `ROUNDS` times, in a bot that records audio and in one that records its tab."""
    figures: list[Figure] = []
    for video, title in VIDEOS.items():
        office.say(f"verbs, {title}")
        samples = await _verbs(office, video)
        figures += [
            at_most(
                *(f"{verb}, {title}", values, "ms", TARGET_MS),
                baseline="a person's click to chat line" if verb == "chat" else None,
                baseline_samples=samples["by hand"] if verb == "chat" else (),
            )
            for verb, values in samples.items()
            if verb != "by hand"
        ]
    return figures


async def _verbs(office: Office, video: str) -> dict[str, list[float]]:
    with TemporaryDirectory() as folder:
        clip = await asyncio.to_thread(plain_mp4, Path(folder), "0x20c020", 880, 6)
    outputs = {
        "audio": _output("audio", tone_wav(TONE_HZ, 6)),
        "image": _output("image", plain_png(RED)),
        "video": _output("video", clip),
    }
    async with _meeting(office, video) as meeting:
        for number in range(ROUNDS):
            await _round(meeting, number, outputs)
        await meeting.reached("leave-call", "leave-call", lambda bot: bot is None)
        return dict(meeting.samples)


def _output(kind: str, data: bytes) -> dict[str, str]:
    return {"kind": kind, "data": base64.b64encode(data).decode()}


async def _round(meeting: Meeting, number: int, outputs: dict[str, dict[str, str]]) -> None:
    await _by_hand(meeting, f"By hand {number}")
    text = f"Line {number}"
    await meeting.noticed("chat", "chat", text, "send-chat-message", {"message": text})
    text = f"May I record? {number}"
    body = {"message": text}
    await meeting.noticed("permission", "chat", text, "request-recording-permission", body)
    pinned = {"displayName": ("Ada Park", "Ben Ortiz")[number % 2]}
    await _pin(meeting, pinned)
    began = time.time() * 1000
    await meeting.office.ask(meeting.job_id, "screenshot")
    meeting.samples["screenshot"].append(time.time() * 1000 - began)
    await asyncio.sleep(REST_SECONDS)
    await meeting.noticed("audio", "sound", BOT, "output-media", outputs["audio"])
    await meeting.stop_output()
    camera = [BOT, "camera", RED]
    await meeting.noticed("image", "colour", camera, "output-media", outputs["image"])
    await meeting.stop_output()
    screen = [BOT, "screen", GREEN]
    await meeting.noticed("video", "colour", screen, "output-media", outputs["video"])
    await meeting.stop_output()
    await meeting.recording("pause", "pause-recording", "paused")
    await meeting.recording("resume", "resume-recording", "recording")
    await meeting.recording("stop", "stop-recording", "stopped")
    await meeting.recording("start", "start-recording", "recording")


async def _pin(meeting: Meeting, body: dict[str, str]) -> None:
    people = (await meeting.office.sandbox.room(meeting.room_id)).participants
    (wanted,) = [one.participant_id for one in people if one.display_name == body["displayName"]]
    await meeting.reached(
        "pin", "pin-participant", lambda bot: bot is not None and bot.pinned == wanted, body
    )


async def _by_hand(meeting: Meeting, text: str) -> None:
    """The baseline: what it takes from the click of somebody in the room."""
    page = meeting.person.page
    await page.get_by_test_id("chat-input").fill(text)
    await page.evaluate("(text) => { globalThis.seen = notice.chat(text); }", text)
    began = time.time() * 1000
    await meeting.person.click("chat-send")
    seen: float = await page.evaluate("() => globalThis.seen")
    meeting.samples["by hand"].append(seen - began)


@asynccontextmanager
async def _meeting(office: Office, video: str) -> AsyncIterator[Meeting]:
    room = await office.sandbox.create_room(RoomOptions(video=False))
    settings = office.stack.settings
    origin = settings.api.public_url.replace("http", "ws", 1)
    key = office.team.test_key.get_secret_value()
    async with Browsers() as browsers:
        # Without devices of their own: what they send would be work of the bot.
        person = await browsers.join(room.guest_url, PERSON)
        await person.in_room()
        await person.page.evaluate(NOTICE)
        job_id = await office.send(room.guest_url, video=video, name=BOT)
        await office.until([job_id], Event.MEDIA_CAPTURED)
        url = f"{origin}/api/v1/jobs/{job_id}/ws?token={key}"
        async with connect(url, proxy=None) as socket:
            yield Meeting(office, job_id, room.room_id, person, socket)
        await office.until([job_id], Event.COMPLETED)
        await browsers.close_pages()
    await office.sandbox.delete(room.room_id)

"""Live control from the customer's HTTP call to what a person in the meeting sees, and back."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ffmpeg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from core.media import run_ffmpeg
from flows.delivery import prefix
from sandbox.schemas import RoomOptions
from tests.e2e.customer import Customer
from tests.sandbox.browsers import Browsers, Visitor
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(400)]

SECONDS = 60
RECORDED_SECONDS = 3.0
QUESTION = "May we record this meeting?"


def tone() -> bytes:
    sound = ffmpeg.input("sine=frequency=440:duration=2", f="lavfi")
    return run_ffmpeg(sound.output("pipe:1", format="wav"), 20)


@dataclass
class Controlled:
    """A job whose bot records one visitor, told over HTTP and watched over its socket."""

    product: RunningStack
    job_id: str
    visitor: Visitor
    socket: ClientConnection

    async def ask(self, verb: str, body: Any = None, status: int = 202) -> dict[str, Any]:
        path = f"/api/v1/jobs/{self.job_id}/{verb}"
        answer = await self.product.api.post(path, json=body, timeout=30)
        assert answer.status_code == status, (verb, answer.text)
        told: dict[str, Any] = answer.json()
        return told

    async def until(self, event: str, **data: Any) -> dict[str, Any]:
        """The next event that says so."""
        async with asyncio.timeout(SECONDS):
            while True:
                content = json.loads(await self.socket.recv())
                found: dict[str, Any] = content.get("data") or {}
                if content.get("event") == event and data.items() <= found.items():
                    return found

    async def done(self, verb: str, body: Any = None) -> None:
        told = await self.ask(verb, body)
        await self.until("command", commandId=told["commandId"], outcome="done")


@asynccontextmanager
async def controlled(product: RunningStack) -> AsyncIterator[Controlled]:
    customer = Customer(product)
    room = await product.sandbox.create_room(RoomOptions(script=None))
    origin = product.settings.api.public_url.replace("http", "ws")
    key = product.team.test_key.get_secret_value()
    async with Browsers() as browsers:
        visitor = await browsers.join(room.guest_url, "Dana Visitor", devices=True)
        await visitor.in_room()
        job_id = await customer.dispatch(room.guest_url)
        await customer.until_status(job_id, "recording")
        url = f"{origin}/api/v1/jobs/{job_id}/ws?token={key}"
        async with connect(url, proxy=None) as socket:
            yield Controlled(product, job_id, visitor, socket)
        await browsers.close_pages()


async def consent_is_asked_and_given(meeting: Controlled) -> None:
    await meeting.done("request-recording-permission", {"message": QUESTION})
    page = meeting.visitor.page
    await page.get_by_text(QUESTION).wait_for(timeout=SECONDS * 1000)
    await page.get_by_test_id("chat-input").fill("Yes, of course.")
    await meeting.visitor.click("chat-send")
    consent = await meeting.until("consent")
    assert (consent["granted"], consent["displayName"]) == (True, "Dana Visitor")


async def recording_goes_off_and_on(meeting: Controlled) -> None:
    await meeting.ask("pause-recording")
    await meeting.until("status", recordingState="paused")
    await meeting.ask("resume-recording")
    await meeting.until("status", recordingState="recording")
    await meeting.ask("stop-recording")
    await meeting.until("status", recordingState="stopped", status="in_meeting")
    await meeting.ask("start-recording")
    await meeting.until("status", recordingState="recording", status="recording")


async def the_room_is_shown_spoken_to_and_pinned(meeting: Controlled) -> None:
    shown = await meeting.ask("screenshot", status=201)
    picture = await asyncio.to_thread(httpx.get, shown["url"], timeout=20)
    assert picture.content.startswith(b"\x89PNG")
    await meeting.done("output-media", {"kind": "audio", "data": base64.b64encode(tone()).decode()})
    path = f"/api/v1/jobs/{meeting.job_id}/output-media"
    assert (await meeting.product.api.delete(path)).status_code == 204
    await meeting.until("command", verb="stop-output-media", outcome="done")
    await meeting.done("pin-participant", {"displayName": "Dana Visitor"})


async def test_a_meeting_is_controlled_while_it_goes_on(product: RunningStack) -> None:
    """API-04 to API-14, API-17, PL-20: one visitor, every verb, told over the socket."""
    customer = Customer(product)
    async with controlled(product) as meeting:
        await consent_is_asked_and_given(meeting)
        await recording_goes_off_and_on(meeting)
        await the_room_is_shown_spoken_to_and_pinned(meeting)
        await customer.until_recorded(meeting.job_id, RECORDED_SECONDS)
        await meeting.ask("leave-call")
        await meeting.until("status", status="completed")
    await customer.until_told(meeting.job_id, "bot.recording_permission_response", "recording")
    media = f"{prefix(meeting.job_id)}.media/"
    async with asyncio.timeout(SECONDS):
        while [one.key for one in product.bucket.list(media)]:
            await asyncio.sleep(0.25)

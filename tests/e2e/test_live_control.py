"""Live control from the customer's HTTP call to what a person in the meeting sees, and back."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ffmpeg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from core.media import run_ffmpeg
from flows.delivery import prefix
from sandbox.schemas import RoomOptions
from tests.e2e.customer import Customer
from tests.sandbox.browsers import Browsers
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(240)]

SECONDS = 60
RECORDED_SECONDS = 3.0
QUESTION = "May we record this meeting?"


def tone() -> bytes:
    sound = ffmpeg.input("sine=frequency=440:duration=2", f="lavfi")
    return run_ffmpeg(sound.output("pipe:1", format="wav"), 20)


@asynccontextmanager
async def listening(product: RunningStack, job_id: str) -> AsyncIterator[ClientConnection]:
    origin = product.settings.api.public_url.replace("http", "ws")
    key = product.team.test_key.get_secret_value()
    url = f"{origin}/api/v1/jobs/{job_id}/ws?token={key}"
    async with connect(url, proxy=None) as socket:
        yield socket


async def until(socket: ClientConnection, event: str, **data: Any) -> dict[str, Any]:
    """The next event that says so."""
    async with asyncio.timeout(SECONDS):
        while True:
            content = json.loads(await socket.recv())
            found: dict[str, Any] = content.get("data") or {}
            if content.get("event") == event and data.items() <= found.items():
                return found


async def test_a_meeting_is_controlled_while_it_goes_on(product: RunningStack) -> None:
    """API-04 to API-14, API-17, PL-20: one visitor, every verb, told over the socket."""
    customer = Customer(product)
    room = await product.sandbox.create_room(RoomOptions(script=None))
    async with Browsers() as browsers:
        visitor = await browsers.join(room.guest_url, "Dana Visitor", devices=True)
        await visitor.in_room()
        job_id = await customer.dispatch(room.guest_url)
        await customer.until_status(job_id, "recording")

        async def ask(verb: str, body: Any = None, status: int = 202) -> httpx.Response:
            answer = await product.api.post(f"/api/v1/jobs/{job_id}/{verb}", json=body, timeout=30)
            assert answer.status_code == status, (verb, answer.text)
            return answer

        async with listening(product, job_id) as socket:
            asked = await ask("request-recording-permission", {"message": QUESTION})
            await until(socket, "command", commandId=asked.json()["commandId"], outcome="done")
            await visitor.page.get_by_text(QUESTION).wait_for(timeout=SECONDS * 1000)
            await visitor.page.get_by_test_id("chat-input").fill("Yes, of course.")
            await visitor.click("chat-send")
            consent = await until(socket, "consent")
            assert (consent["granted"], consent["displayName"]) == (True, "Dana Visitor")

            await ask("pause-recording")
            await until(socket, "status", recordingState="paused")
            await ask("resume-recording")
            await until(socket, "status", recordingState="recording")
            await ask("stop-recording")
            await until(socket, "status", recordingState="stopped", status="in_meeting")
            await ask("start-recording")
            await until(socket, "status", recordingState="recording", status="recording")

            shown = (await ask("screenshot", status=201)).json()
            picture = await asyncio.to_thread(httpx.get, shown["url"], timeout=20)
            assert picture.content.startswith(b"\x89PNG")

            spoken = {"kind": "audio", "data": base64.b64encode(tone()).decode()}
            told = (await ask("output-media", spoken)).json()["commandId"]
            await until(socket, "command", commandId=told, outcome="done")
            answer = await product.api.delete(f"/api/v1/jobs/{job_id}/output-media")
            assert answer.status_code == 204
            await until(socket, "command", verb="stop-output-media", outcome="done")

            pinned = {"displayName": "Dana Visitor"}
            await until(
                socket,
                "command",
                commandId=(await ask("pin-participant", pinned)).json()["commandId"],
                outcome="done",
            )
            await customer.until_recorded(job_id, RECORDED_SECONDS)
            await ask("leave-call")
            await until(socket, "status", status="completed")
        await browsers.close_pages()

    events = [one.event for one in customer.webhooks(job_id)]
    assert "bot.recording_permission_response" in events
    async with asyncio.timeout(SECONDS):
        while left := [one.key for one in product.bucket.list(f"{prefix(job_id)}.media/")]:
            assert left
            await asyncio.sleep(0.25)

"""A person joins from a browser of their own, talks, shares a screen, chats, and is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from core.recordings.manifest import MANIFEST_NAME
from flows.delivery import prefix
from sandbox.schemas import RoomOptions
from tests.bot.listening import decibels, decode
from tests.e2e.customer import Customer
from tests.sandbox.browsers import Browsers
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(180)]

TALK_SECONDS = 8.0
# Chromium's fake microphone beeps once a second; a silent file is far below.
BEEPS_DB = -50.0
MESSAGE = "Please send me the recording afterwards."


async def test_a_visitor_with_a_browser_is_recorded(product: RunningStack, tmp_path: Path) -> None:
    """D13: voice, shared screen and chat of a real person's browser reach the bucket."""
    customer = Customer(product)
    room = await product.sandbox.create_room(RoomOptions(script=None))
    async with Browsers() as browsers:
        visitor = await browsers.join(room.guest_url, "Dana Visitor", devices=True)
        await visitor.in_room()
        job_id = await customer.dispatch(room.guest_url, recording={"video": "screenshare"})
        await customer.until_status(job_id, "recording")
        await visitor.page.get_by_test_id("chat-input").fill(MESSAGE)
        await visitor.click("chat-send")
        await visitor.click("share")
        await customer.until_recorded(job_id, TALK_SECONDS)
        await customer.leave(job_id)
        job = await customer.until_over(job_id)
        await browsers.close_pages()

    assert job["status"] == "completed", job["failure_detail"]
    manifest = _manifest(product, job_id)
    assert [person["displayName"] for person in manifest["participants"]] == ["Dana Visitor"]
    voice, screen = (
        _file(product, manifest, "per-speaker", tmp_path),
        _file(product, manifest, "screenshare", tmp_path),
    )
    assert decibels(decode(voice)) > BEEPS_DB
    with av.open(str(screen)) as video:
        assert sum(1 for _ in video.decode(video=0)) > TALK_SECONDS
    chat = json.loads(product.bucket.get_bytes(f"{prefix(job_id)}chat.json"))
    assert [(said["displayName"], said["text"]) for said in chat] == [("Dana Visitor", MESSAGE)]


def _manifest(product: RunningStack, job_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        product.bucket.get_bytes(f"{prefix(job_id)}{MANIFEST_NAME}")
    )
    return document


def _file(product: RunningStack, manifest: dict[str, Any], kind: str, folder: Path) -> Path:
    (track,) = [track for track in manifest["tracks"] if track["kind"] == kind]
    name = str(track["uri"]).rsplit("/", 1)[-1]
    product.bucket.get_file(f"{prefix(manifest['jobId'])}{name}", folder / name)
    return folder / name

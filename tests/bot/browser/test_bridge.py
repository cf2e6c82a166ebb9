"""The bridge between page and Python, and pages that try to abuse it (D19)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from bot.browser.bridge import MAX_CALL_CHARS, MAX_FRAMES, Bridge, Budget, PageError
from core.clock import SystemClock
from tests.bot.browser.conftest import Bot, Bots, Note

pytestmark = pytest.mark.browser


@pytest.fixture
async def bot(bots: Bots) -> AsyncIterator[Bot]:
    bot = await bots.make()
    yield bot
    await bot.bridge.detach()


async def test_messages_come_out_and_commands_go_in(bot: Bot) -> None:
    await bot.open("quiet.html")
    answer = await bot.bridge.call("say", {"text": "hello"})
    assert answer == {"said": "hello", "active": True}
    await bot.hears("hello")
    await bot.hears("start https://meet.test/")
    assert not bot.bridge.refused


async def test_bytes_survive_as_base64(bot: Bot) -> None:
    await bot.open("quiet.html")
    every = list(range(256)) * 40
    text = await bot.bridge.call("bytes", {"bytes": every})
    assert base64.b64decode(text, validate=True) == bytes(every)


async def test_a_new_document_is_heard_and_commanded_again(bot: Bot) -> None:
    page = await bot.open("quiet.html")
    await bot.bridge.call("say", {"text": "before"})
    await page.reload()
    await bot.bridge.call("say", {"text": "after"})
    await bot.hears("before")
    await bot.hears("after")


async def test_half_a_character_in_an_answer_costs_that_character(bot: Bot) -> None:
    """D19: a page may cut the emoji of a name in two."""
    await bot.open("quiet.html")
    answer = await bot.bridge.call("say", {"text": "Ann \ud83d"})
    assert answer["said"] == "Ann \ufffd"
    await bot.hears("Ann \ufffd")
    assert not bot.bridge.refused


async def test_commands_fail_with_a_reason(bot: Bot) -> None:
    await bot.open("quiet.html")
    with pytest.raises(PageError, match="as asked"):
        await bot.bridge.call("fail")
    with pytest.raises(PageError, match="no command nonsense"):
        await bot.bridge.call("nonsense")
    with pytest.raises(PageError, match=r"within 0\.2 s"):
        await bot.bridge.call("hang", timeout=0.2)


async def test_a_command_to_a_page_without_the_script_fails(bot: Bot) -> None:
    with pytest.raises(PageError, match="not attached"):
        await bot.bridge.call("say")
    await bot.open("quiet.html")
    await bot.bridge.detach()
    with pytest.raises(PageError, match="not attached"):
        await bot.bridge.call("say")


async def test_same_origin_frames_speak_and_foreign_frames_do_not(bot: Bot) -> None:
    page = await bot.open("frames.html")
    await bot.hears("start about:srcdoc")
    await bot.hears("start about:blank")
    await page.wait_for_load_state()
    await bot.bridge.call("say", {"text": "all frames have loaded"})
    await bot.hears("all frames have loaded")
    assert len([text for text in bot.heard if text.startswith("start")]) == 4
    assert not [text for text in bot.heard if "evil.test" in text or "widgets" in text]


async def test_page_code_finds_no_binding_anywhere(bot: Bot) -> None:
    page = await bot.open("frames.html")
    await page.wait_for_load_state()
    assert await page.evaluate("window.leaked") == []
    binding = bot.bridge._keys.binding
    for frame in page.frames:
        assert await frame.evaluate(f"typeof globalThis['{binding}']") == "undefined", frame.url


async def test_a_page_that_breaks_everything_learns_no_secret(bot: Bot) -> None:
    page = await bot.open("tampering.html")
    assert await page.evaluate("window.ready") is True
    await bot.bridge.call("say", {"text": "still here"})
    await bot.hears("still here")
    assert await bot.bridge.call("bytes", {"bytes": [1, 2, 3]}) == "AQID"
    seen = await page.evaluate("window.seen")
    keys = bot.bridge._keys
    # The tampering works: the answer of the command was seen.
    assert "said,active" in seen
    for secret in (keys.nonce, keys.binding, keys.listener):
        assert secret not in seen


async def test_messages_of_unknown_kind_or_shape_are_refused(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    await bot.open("quiet.html")
    await bot.bridge.call("wrong", {"kind": "secret", "body": {}})
    await bot.bridge.call("wrong", {"kind": "note", "body": {"text": {"path": "../../etc"}}})
    await bot.bridge.call("say", {"text": "done"})
    await bot.hears("done")
    assert bot.bridge.refused == {"kind": 1, "schema": 1}
    assert "'secret'" in caplog.text


async def test_oversized_messages_are_refused(bot: Bot) -> None:
    await bot.open("quiet.html")
    await bot.bridge.call("shout", {"length": MAX_CALL_CHARS + 1, "times": 2})
    await bot.bridge.call("say", {"text": "done"})
    await bot.hears("done")
    assert bot.bridge.refused == {"oversize": 2}


async def test_a_flood_is_cut_at_the_budget(bots: Bots) -> None:
    bot = await bots.make(Budget(bytes_per_second=10_000, calls_per_second=100, burst_seconds=1))
    await bot.open("quiet.html")
    await bot.bridge.call("shout", {"length": 1000, "times": 200})
    await bot.hears("x" * 1000)
    assert bot.bridge.refused["budget"] > 100
    assert len(bot.heard) < 60
    await bot.bridge.detach()


async def test_a_failing_handler_is_kept_as_our_fault(bot: Bot) -> None:
    def broken(note: Note) -> None:
        raise ValueError(note.text)

    bot.bridge.on("note", Note, broken)
    await bot.open("quiet.html")
    async with asyncio.timeout(10):
        await bot.bridge.faulted.wait()
    assert isinstance(bot.bridge.fault, ValueError)


class Heard(BaseModel):
    text: str


class TestForgedCalls:
    """Calls as they arrive from the browser, for what a page could only do with stolen names."""

    @pytest.fixture
    def bridge(self) -> Bridge:
        bridge = Bridge(SystemClock(), Budget(bytes_per_second=2 * MAX_CALL_CHARS))
        self.heard: list[str] = []
        bridge.on("note", Heard, lambda note: self.heard.append(note.text))
        return bridge

    def call(self, bridge: Bridge, *messages: Any, frame: int = 7, **forged: Any) -> None:
        payload = bridge._keys.nonce + json.dumps(messages)
        event: dict[str, Any] = {"name": bridge._keys.binding, "payload": payload}
        bridge._called({**event, **forged, "executionContextId": frame})

    def greet(self, bridge: Bridge, frame: int = 7) -> None:
        self.call(bridge, {"kind": "hello", "body": {"main": True}}, frame=frame)

    def test_a_known_frame_is_heard(self, bridge: Bridge) -> None:
        self.greet(bridge)
        self.call(bridge, {"kind": "note", "body": {"text": "hi"}})
        assert self.heard == ["hi"]

    @pytest.mark.parametrize(
        ("forged", "reason"),
        [
            ({"payload": '[{"kind":"note","body":{"text":"x"}}]'}, "nonce"),
            ({"payload": "0" * 32 + "[]"}, "nonce"),
            ({"payload": ""}, "nonce"),
            ({"payload": "\ud83d\ude00"}, "nonce"),
            ({"name": "_other"}, "binding"),
            ({"payload": "x" * (MAX_CALL_CHARS + 1)}, "oversize"),
        ],
    )
    def test_forged_calls_are_refused(
        self, bridge: Bridge, forged: dict[str, Any], reason: str
    ) -> None:
        self.greet(bridge)
        self.call(bridge, {"kind": "note", "body": {"text": "x"}}, **forged)
        assert bridge.refused == {reason: 1}
        assert self.heard == []

    @pytest.mark.parametrize(
        ("said", "heard"),
        [
            ("Ann \ud83d", "Ann \ufffd"),
            ("\udca5\udca5 Ann", "\ufffd\ufffd Ann"),
            ("\U0001f4a5\ud83d", "\U0001f4a5\ufffd"),
            ("\\ud83d and \\\ud83d", "\\ud83d and \\\ufffd"),
        ],
    )
    def test_half_a_character_costs_no_other_message(
        self, bridge: Bridge, said: str, heard: str
    ) -> None:
        self.greet(bridge)
        notes = [{"kind": "note", "body": {"text": text}} for text in ("before", said, "after")]
        self.call(bridge, *notes)
        assert self.heard == ["before", heard, "after"]
        assert not bridge.refused

    @pytest.mark.parametrize("text", ["{", "{}", "7", "[7]", '[{"kind":"note"}]', "[[[["])
    def test_broken_messages_are_refused(self, bridge: Bridge, text: str) -> None:
        self.greet(bridge)
        self.call(bridge, payload=bridge._keys.nonce + text)
        assert sum(bridge.refused.values()) == 1
        assert self.heard == []

    def test_a_frame_that_did_not_say_hello_is_unknown(self, bridge: Bridge) -> None:
        self.greet(bridge, frame=7)
        self.call(bridge, {"kind": "note", "body": {"text": "x"}}, frame=8)
        assert bridge.refused == {"frame": 1}

    def test_frames_are_bounded(self, bridge: Bridge) -> None:
        for frame in range(MAX_FRAMES + 3):
            self.greet(bridge, frame)
        assert bridge.refused == {"frame": 3}

"""Google Meet's messages as the page script reads them, against the protobuf library (D19): what is
said is understood, and whatever else a page sends ends in an error, soon.
"""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Error, Page

from bot.platforms.driver import PAGE_DIR
from tests.replicas.meet import wire
from tests.replicas.meet.wire import Somebody

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SCRIPT = (PAGE_DIR / "web" / "meet_wire.js").read_text(encoding="utf-8")
READ = """async ([reader, text]) => {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const read = {meetCollections, meetEverybody, meetCaptions}[reader];
    const found = read(await meetInflate(bytes));
    const plain = (_, one) => (typeof one === 'bigint' ? String(one) : one);
    return JSON.parse(JSON.stringify(found, plain));
}"""
READ_ALL = """async ([code, readers, texts]) => {
    const read = eval(code);
    const ways = {read: 0, refused: 0, other: []};
    for (const text of texts) for (const reader of readers) {
        try { await read([reader, text]); ways.read++; }
        catch (error) {
            if (error instanceof RangeError || error instanceof TypeError) ways.refused++;
            else ways.other.push(String(error));
        }
    }
    return ways;
}"""
READERS = ("meetCollections", "meetEverybody", "meetCaptions")
ADA = Somebody("spaces/x/devices/1", "Ada Park 🎈", host=True)
BOT = Somebody("spaces/x/devices/9", "Notes", is_self=True)
SCREEN = Somebody("spaces/x/devices/7", "Ada Park", parent=ADA.device)


@pytest.fixture
async def page(replica_browser: Browser) -> AsyncIterator[Page]:
    page = await replica_browser.new_page()
    await page.add_script_tag(content=SCRIPT)
    yield page
    await page.close()


async def read(page: Page, reader: str, message: bytes) -> Any:
    return await page.evaluate(READ, [reader, base64.b64encode(message).decode()])


def person(one: Somebody) -> dict[str, object]:
    known = {"id": one.device, "name": one.name, "status": one.status, "self": one.is_self}
    return known | {"parent": one.parent, "host": one.host}


async def test_what_the_channels_say_is_understood(page: Page) -> None:
    came = await read(page, "meetCollections", wire.roster_event([ADA, SCREEN]))
    assert came == {"people": [person(ADA), person(SCREEN)], "outputs": []}
    everybody = base64.b64decode(wire.everybody([ADA, BOT]))
    assert await read(page, "meetEverybody", everybody) == [person(ADA), person(BOT)]
    source = 4_000_000_001
    told = await read(page, "meetCollections", wire.outputs_event([(ADA.device, source, True)]))
    voice = {"device": ADA.device, "kind": 1, "stream": str(source), "disabled": True}
    assert told == {
        "people": [],
        "outputs": [voice, voice | {"kind": 2, "stream": f"9{source}", "disabled": False}],
    }
    said = wire.caption_event(ADA.device, 2**62, 3, "Hello, née", final=True)
    assert await read(page, "meetCaptions", said) == [
        {
            "device": ADA.device,
            "id": str(2**62),
            "version": "3",
            "final": True,
            "text": "Hello, née",
        }
    ]


@pytest.mark.parametrize(
    ("reader", "message", "complaint"),
    [
        ("meetCaptions", b"\x0a\x05ab", "longer than its message"),
        ("meetCaptions", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7fab", "longer than its message"),
        ("meetCaptions", b"\x08" + b"\xff" * 11, "does not end"),
        ("meetCaptions", b"\x0b", "kind that does not exist"),
        ("meetCaptions", b"\x08\x01" * 20_001, "more fields"),
        ("meetCollections", zlib.compress(bytes(64 * 1024 * 1024)), "more than a message holds"),
    ],
    ids=["cut", "huge", "endless", "group", "many", "bomb"],
)
async def test_what_cannot_be_read_is_an_error(
    page: Page, reader: str, message: bytes, complaint: str
) -> None:
    with pytest.raises(Error, match=complaint):
        await read(page, reader, message)


async def test_texts_and_lists_are_bounded(page: Page) -> None:
    long = Somebody("d" * 5_000, "n" * 5_000)
    (found,) = await read(page, "meetEverybody", base64.b64decode(wire.everybody([long])))
    assert (len(found["id"]), len(found["name"])) == (300, 1000)
    many = base64.b64decode(wire.everybody([Somebody(str(n), "x") for n in range(3_000)]))
    assert len(await read(page, "meetEverybody", many)) == 2_000


async def test_a_damaged_message_is_read_or_refused(page: Page) -> None:
    """Whatever a byte is changed to, and wherever a message is cut; in one call for all."""
    draw = random.Random(7)  # noqa: S311 - a script
    whole = [
        zlib.decompress(wire.roster_event([ADA, BOT, SCREEN])),
        zlib.decompress(wire.outputs_event([(ADA.device, 700_001, False)])),
        base64.b64decode(wire.everybody([ADA, BOT])),
        wire.caption_event(ADA.device, 2**40, 2, "Hello", final=False),
    ]
    damaged = []
    for _ in range(600):
        message = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 4)):
            message[draw.randrange(len(message))] = draw.randrange(256)
        damaged.append(bytes(message[: draw.randint(1, len(message))]))
    texts = [base64.b64encode(one).decode() for one in damaged]
    ways = await page.evaluate(READ_ALL, [READ, list(READERS), texts])
    assert ways["other"] == []
    assert ways["read"] + ways["refused"] == len(damaged) * len(READERS)
    assert ways["read"] > 0 < ways["refused"]

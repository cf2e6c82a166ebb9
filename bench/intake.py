"""Invites by mail: what the SMTP path takes, and a hundred thousand mutilated mails."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiosmtplib
import psutil

from bench.figures import Figure, at_most
from core.clock import SystemClock
from core.errors import BadInput
from core.invites.occurrences import expand
from core.invites.reading import read_calendar
from core.invites.settings import IntakeSettings
from intake.mail import read_mail
from intake.smtp import Rates, Receiver, receiving
from intake.spool import Spool
from tests.intake.corpus import cases
from tests.support.clock import START
from tests.support.mails import BOT, names_of, signed

INPUTS: Final = 100_000
WARM_UP: Final = 5_000
MAILS: Final = 500
CONNECTIONS: Final = 8
LEAST_RATE: Final = 10


async def measure(say: Callable[[str], None]) -> list[Figure]:
    """Throughput and latency of the receiver, and the fuzzing of mail and calendar."""
    say("invites over SMTP")
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="mbintake-"))
    try:
        figures = await _smtp(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    say(f"{INPUTS} mutilated mails")
    return figures + await asyncio.to_thread(_fuzz)


async def _smtp(folder: Path) -> list[Figure]:
    """Signed mails from several connections: each is authenticated and on disk when answered."""
    settings = IntakeSettings(
        addresses=(BOT,), smtp_host="127.0.0.1", smtp_port=0, mails=10 * MAILS
    )
    spool = Spool(folder, most=10 * MAILS)
    receiver = Receiver(settings, spool, names_of(), Rates(settings.mails, SystemClock()))
    raw = signed(next(cases()).message.as_bytes().replace(b"\n", b"\r\n"))
    took: list[float] = []

    async def send(port: int, count: int) -> None:
        for _ in range(count):
            began = time.monotonic()
            async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=60) as client:
                await client.sendmail("ada@example.com", [BOT], raw)
            took.append(1000 * (time.monotonic() - began))

    async with receiving(receiver) as port:
        began = time.monotonic()
        await asyncio.gather(*(send(port, MAILS // CONNECTIONS) for _ in range(CONNECTIONS)))
        seconds = time.monotonic() - began
    slowest = sorted(took)[int(len(took) * 0.99)]
    rate = len(took) / seconds
    return [
        Figure(
            "intake: mails kept a second over SMTP",
            rate,
            "1/s",
            samples=(rate,),
            target=f"≥ {LEAST_RATE} 1/s",
            met=rate >= LEAST_RATE,
        ),
        at_most("intake: from connection to 250, 99th percentile", [slowest], "ms", 2_000),
    ]


def _fuzz() -> list[Figure]:
    """Whatever the bytes are: an answer, within a second, and no memory kept."""
    chance = random.Random(1)
    seeds = [case.message.as_bytes() for case in cases()]
    process = psutil.Process()
    slowest, before = 0.0, 0
    for number in range(INPUTS):
        if number == WARM_UP:
            before = process.memory_info().rss
        raw = _mutilated(chance, chance.choice(seeds))
        began = time.thread_time()
        read = read_mail(raw)
        for invite in read.invites:
            try:
                series = read_calendar(invite.text).series[0]
                expand(series, START, START.replace(month=6))
            except BadInput:
                continue
        slowest = max(slowest, time.thread_time() - began)
    grown = (process.memory_info().rss - before) / 2**20
    return [
        at_most("intake: slowest of 100 000 mutilated mails", [1000 * slowest], "ms", 1_000),
        at_most("intake: memory grown meanwhile", [max(0.0, grown)], "MiB", 50),
    ]


def _mutilated(chance: random.Random, seed: bytes) -> bytes:
    """Bytes changed, lines doubled, left out and swapped."""
    raw = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(raw) + 1)
        raw[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
    lines = bytes(raw).split(b"\n")
    for _ in range(chance.randint(0, 3)):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(3):
            case 0:
                lines[at], lines[to] = lines[to], lines[at]
            case 1:
                lines.insert(at, lines[to])
            case _:
                del lines[at : at + 1]
        lines = lines or [b""]
    return b"\n".join(lines)

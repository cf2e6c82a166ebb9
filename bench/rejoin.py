"""How soon a bot is back in its call: its browser killed, its process killed (design.md D10)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import psutil

from bench.figures import Figure, at_most
from bench.office import Office
from core.jobs.lifecycle import Event
from sandbox.schemas import RoomOptions
from tests.e2e.processes import browsers_below, meeting_of

ROUNDS: Final = 3
RECORD_SECONDS: Final = 3.0
TARGET_SECONDS: Final = 20.0
BACK_SECONDS: Final = 60.0

Victim = Callable[[psutil.Process], psutil.Process]


async def measure(office: Office) -> list[Figure]:
    """From the kill until another page of the bot is in the room, beside a first join."""
    joined: list[float] = []
    figures: list[Figure] = []
    victims: dict[str, Victim] = {"browser": lambda browser: browser, "meeting process": meeting_of}
    back: dict[str, list[float]] = {name: [] for name in victims}
    for number in range(ROUNDS):
        for name, victim in victims.items():
            office.say(f"round {number + 1} of {ROUNDS}: the {name} is killed")
            first, again = await _kill(office, victim)
            joined.append(first)
            back[name].append(again)
    figures += [
        at_most(
            *(f"back in the room, {name} killed", samples, "s", TARGET_SECONDS),
            baseline="POST /jobs to in the room",
            baseline_samples=joined,
        )
        for name, samples in back.items()
    ]
    return figures


async def _kill(office: Office, victim: Victim) -> tuple[float, float]:
    """Seconds of the first join, and of the return."""
    room = await office.sandbox.create_room(RoomOptions(video=False))
    began = time.monotonic()
    job_id = await office.send(room.guest_url)
    first = await _somebody_else(office, room.room_id, frozenset())
    joined = time.monotonic() - began
    await office.until([job_id], Event.MEDIA_CAPTURED)
    await asyncio.sleep(RECORD_SECONDS)
    worker = office.stack.supervisor.pid("worker")
    if worker is None:
        raise RuntimeError("the worker is down")
    (browser,) = browsers_below(psutil.Process(worker))
    killed = time.monotonic()
    victim(browser).kill()
    await _somebody_else(office, room.room_id, first)
    back = time.monotonic() - killed
    await office.end([job_id])
    await office.sandbox.delete(room.room_id)
    return joined, back


async def _somebody_else(office: Office, room_id: str, before: frozenset[str]) -> frozenset[str]:
    """Wait until somebody in a browser is there who was not; everybody who is there then."""
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            people = (await office.sandbox.room(room_id)).participants
            there = frozenset(one.participant_id for one in people if one.kind == "browser")
            if there - before:
                return there
            await asyncio.sleep(0.02)

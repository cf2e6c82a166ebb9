"""Webhooks leave when their event is committed, in order, and trouble waits for the drain (D9)."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from core.errors import MeetbotError, Unavailable
from flows.postman import Postman
from flows.resources import Resources

pytestmark = pytest.mark.unit


class Courier:
    """Counts rounds; each waits until it is let go."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = asyncio.Event()
        self.trouble: MeetbotError | None = None

    async def deliver_job(self, job_id: str) -> None:
        self.jobs.append(job_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
            if self.trouble is not None:
                raise self.trouble
        finally:
            self.at_once -= 1


class _Resources:
    def __init__(self, courier: Courier) -> None:
        self.courier = courier


@pytest.fixture
def courier() -> Courier:
    return Courier()


@pytest.fixture
def postman(courier: Courier) -> Postman:
    return Postman(cast("Resources", _Resources(courier)), "job_1")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_waking_sends_without_waiting_for_it(postman: Postman, courier: Courier) -> None:
    async with postman:
        postman.wake()
        await settle()
        assert courier.jobs == ["job_1"]
        assert courier.at_once == 1


async def test_events_during_a_round_make_one_more_round(
    postman: Postman, courier: Courier
) -> None:
    async with postman:
        postman.wake()
        await settle()
        for _ in range(5):
            postman.wake()
        courier.go.set()
        await settle()
        assert len(courier.jobs) == 2


async def test_rounds_never_overlap(postman: Postman, courier: Courier) -> None:
    """WH-25: a job's webhooks go out in the order of their events."""
    async with postman:
        postman.wake()
        await settle()
        last = asyncio.create_task(postman.deliver())
        await settle()
        assert not last.done()
        courier.go.set()
        await last
    assert courier.most_at_once == 1
    assert len(courier.jobs) == 2


async def test_trouble_of_one_round_does_not_end_the_next(
    postman: Postman, courier: Courier
) -> None:
    courier.go.set()
    courier.trouble = Unavailable("The database did not answer.")
    async with postman:
        postman.wake()
        await settle()
        courier.trouble = None
        postman.wake()
        await settle()
        assert len(courier.jobs) == 2


async def test_the_last_round_tells_its_trouble(postman: Postman, courier: Courier) -> None:
    courier.go.set()
    courier.trouble = Unavailable("The database did not answer.")
    async with postman:
        with pytest.raises(Unavailable):
            await postman.deliver()


async def test_leaving_ends_a_round_that_hangs(postman: Postman, courier: Courier) -> None:
    async with asyncio.timeout(5):
        async with postman:
            postman.wake()
            await settle()
    assert courier.at_once == 0

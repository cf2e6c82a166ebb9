"""Working off the outbox, against a real receiver and on a clock that is told to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from sqlmodel import col, select

from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.network.addresses import Resolve, resolve
from core.settings import WebhookSettings
from core.webhooks.delivery import Courier, Tally
from core.webhooks.models import Delivery, DeliveryAttempt, DeliveryStatus
from core.webhooks.sending import Sender
from core.webhooks.signing import verify
from tests.support.jobs import JobBook
from tests.support.ports import free_port
from tests.support.receiver import Receiver, running_receiver

pytestmark = pytest.mark.integration


@dataclass
class Post:
    """A courier, its receiver and a job whose webhooks go there."""

    courier: Courier
    receiver: Receiver
    book: JobBook

    async def job(self, status: Status = Status.JOINING, **target: Any) -> Job:
        webhooks = {"onFinalize": self.receiver.url, "version": 2, "events": None} | target
        job = await self.book.add(webhooks=webhooks)
        await self.book.bring_to(job, status)
        return job

    async def rows(self) -> Sequence[Delivery]:
        async with self.book.database.begin() as session:
            return (await session.exec(select(Delivery).order_by(col(Delivery.seq)))).all()

    async def attempts(self) -> Sequence[DeliveryAttempt]:
        async with self.book.database.begin() as session:
            statement = select(DeliveryAttempt).order_by(col(DeliveryAttempt.attempt))
            return (await session.exec(statement)).all()

    async def drain_at_next(self) -> datetime:
        """Let time pass until the next attempt is due, and make it."""
        (row,) = await self.rows()
        assert row.next_attempt_at is not None
        due = row.next_attempt_at
        self.book.clock.advance((due - self.book.now).total_seconds())
        await self.courier.drain()
        return due


def courier(
    book: JobBook,
    sender: Sender,
    settings: WebhookSettings | None = None,
) -> Courier:
    return Courier(
        book.database,
        sender,
        book.box,
        settings or WebhookSettings(),
        book.clock,
        random=lambda: 0.5,
    )


def sender(
    book: JobBook, *trusted: str, timeout_seconds: float = 10, resolver: Resolve = resolve
) -> Sender:
    return Sender(
        timeout_seconds=timeout_seconds,
        trusted_origins=trusted,
        clock=book.clock,
        resolver=resolver,
    )


@pytest.fixture
async def post(book: JobBook) -> AsyncIterator[Post]:
    async with running_receiver() as receiver, sender(book, receiver.origin) as opened:
        yield Post(courier(book, opened), receiver, book)


async def test_a_webhook_arrives_signed_with_its_headers(post: Post) -> None:
    """WH-03 to WH-06."""
    await post.job()
    assert await post.courier.drain() == Tally(delivered=1)
    (got,) = post.receiver.received
    (row,) = await post.rows()
    async with post.book.database.begin() as session:
        team = await session.get_one(Team, post.book.team_id)
    (secret,) = webhook_secrets(team, post.book.box, now=post.book.now)
    assert verify(got.body, got.headers["x-meetbot-signature"], secret)
    assert got.path == "/hook"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-meetbot-webhook-version"] == "2"
    assert got.headers["x-meetbot-event"] == "job.status_changed"
    assert got.headers["x-meetbot-delivery"] == row.id == got.json["deliveryId"]
    assert got.headers["user-agent"] == "meetbot-webhooks/1"
    assert row.status is DeliveryStatus.DELIVERED


async def test_six_attempts_on_the_schedule_and_then_exhausted(post: Post) -> None:
    """WH-22, WH-23, WH-24, WH-27."""
    post.receiver.statuses = [500] * 10
    await post.job()
    started = post.book.now
    await post.courier.drain()
    times = [0.0]
    for _ in range(5):
        times.append((await post.drain_at_next() - started).total_seconds())
    assert times == [0, 10, 70, 430, 2590, 15_550]
    (row,) = await post.rows()
    assert (row.status, row.attempts) == (DeliveryStatus.EXHAUSTED, 6)
    assert [one.json["attempt"] for one in post.receiver.received] == [1, 2, 3, 4, 5, 6]
    assert len({one.json["deliveryId"] for one in post.receiver.received}) == 1
    assert [a.status_code for a in await post.attempts()] == [500] * 6
    post.book.clock.advance(10**6)
    assert await post.courier.drain() == Tally()


async def test_a_receiver_that_comes_back_gets_it(post: Post) -> None:
    """API-82: two failures and a success."""
    post.receiver.statuses = [503, 404, 204]
    await post.job()
    await post.courier.drain()
    for _ in range(2):
        await post.drain_at_next()
    (row,) = await post.rows()
    assert (row.status, row.attempts) == (DeliveryStatus.DELIVERED, 3)


async def test_gone_stops_at_once(post: Post) -> None:
    """WH-21."""
    post.receiver.statuses = [410]
    await post.job()
    await post.courier.drain()
    (row,) = await post.rows()
    assert (row.status, row.attempts, row.next_attempt_at) == (DeliveryStatus.EXHAUSTED, 1, None)


async def test_redirects_are_failures(post: Post) -> None:
    """WH-20: never followed."""
    post.receiver.statuses = [302]
    await post.job()
    await post.courier.drain()
    (attempt,) = await post.attempts()
    assert attempt.status_code == 302
    assert "Redirects" in (attempt.error or "")
    assert [one.path for one in post.receiver.received] == ["/hook"]


async def test_a_receiver_that_does_not_answer_is_given_up(book: JobBook) -> None:
    """WH-20: a limit on the whole attempt."""
    async with running_receiver() as receiver:
        receiver.silent = True
        async with sender(book, receiver.origin, timeout_seconds=0.2) as opened:
            post = Post(courier(book, opened), receiver, book)
            await post.job()
            assert await post.courier.drain() == Tally(failed=1)
            (attempt,) = await post.attempts()
    assert (attempt.status_code, attempt.error) == (None, "No answer within 0.2 s.")


async def test_a_receiver_that_is_down_is_retried(book: JobBook) -> None:
    """Bad input: receiver down; the job itself is not touched (WH-26)."""
    origin = f"http://127.0.0.1:{free_port()}"
    async with sender(book, origin) as opened:
        post = Post(courier(book, opened), Receiver(origin=origin), book)
        job = await post.job()
        await post.courier.drain()
        (row,) = await post.rows()
        (attempt,) = await post.attempts()
    assert (row.status, row.attempts) == (DeliveryStatus.PENDING, 1)
    assert "ConnectError" in (attempt.error or "")
    assert (await book.read(job)).status is Status.JOINING


async def test_a_name_that_leads_inside_by_now_is_not_connected_to(book: JobBook) -> None:
    """CV-16: the address is checked again when connecting, so rebinding the name gains nothing."""

    async def rebound(host: str, port: int) -> Sequence[str]:
        return ("127.0.0.1",)

    async with running_receiver() as receiver:
        port = receiver.origin.rsplit(":", 1)[1]
        async with sender(book, resolver=rebound) as opened:
            post = Post(courier(book, opened), receiver, book)
            await post.job(onFinalize=f"https://hooks.example:{port}/hook")
            await post.courier.drain()
            (attempt,) = await post.attempts()
    assert receiver.received == []
    assert "not on the public internet" in (attempt.error or "")


async def test_the_connection_goes_to_the_address_that_was_checked(book: JobBook) -> None:
    async def once(host: str, port: int) -> Sequence[str]:
        assert host == "hooks.example"
        return ("127.0.0.1",)

    async with running_receiver() as receiver:
        origin = f"http://hooks.example:{receiver.origin.rsplit(':', 1)[1]}"
        async with sender(book, origin, resolver=once) as opened:
            post = Post(courier(book, opened), receiver, book)
            await post.job(onFinalize=f"{origin}/hook?a=1")
            assert await post.courier.drain() == Tally(delivered=1)
    (got,) = receiver.received
    assert got.path == "/hook?a=1"
    assert f"http://{got.headers['host']}" == origin


async def test_one_job_is_told_in_order(post: Post) -> None:
    """WH-25, LC-03."""
    job = await post.job(Status.FINALIZING)
    assert await post.courier.deliver_job(job.id) == Tally(delivered=4)
    told = [one.json["data"]["status"] for one in post.receiver.received]
    assert told == ["joining", "in_meeting", "recording", "finalizing"]
    stamps = [one.json["emittedAt"] for one in post.receiver.received]
    assert stamps == sorted(set(stamps))
    assert post.receiver.received[-1].json["type"] == "bot.left"


async def test_a_failing_delivery_holds_up_nothing_beyond_its_first_attempt(post: Post) -> None:
    """WH-25."""
    post.receiver.statuses = [500]
    await post.job(Status.IN_MEETING)
    assert await post.courier.drain() == Tally(delivered=1, failed=1)
    assert [row.status.value for row in await post.rows()] == ["pending", "delivered"]


async def test_a_first_attempt_in_flight_holds_back_the_later_ones(post: Post) -> None:
    """WH-25: also when the senders are several processes."""
    await post.job(Status.IN_MEETING)
    other = courier(post.book, sender(post.book, post.receiver.origin))
    claimed = await other._claim(None)
    assert [row.data["status"] for row in claimed] == ["joining"]
    assert await post.courier.drain() == Tally()
    await other._send_all(claimed)
    assert await post.courier.drain() == Tally(delivered=1)
    assert [one.json["data"]["status"] for one in post.receiver.received] == [
        "joining",
        "in_meeting",
    ]


async def test_a_claim_of_a_sender_that_died_runs_out(post: Post) -> None:
    await post.job()
    dead = courier(post.book, sender(post.book, post.receiver.origin))
    claimed = await dead._claim(None)
    assert len(claimed) == 1
    post.book.clock.advance(41)
    assert await post.courier.drain() == Tally(delivered=1)
    assert await dead._send_all(claimed) == [None]
    assert len(post.receiver.received) == 1


async def test_several_couriers_send_each_webhook_once(post: Post) -> None:
    for _ in range(12):
        await post.job()
    others = [courier(post.book, sender(post.book, post.receiver.origin)) for _ in range(4)]
    await asyncio.gather(*(other.drain() for other in others))
    ids = [one.json["deliveryId"] for one in post.receiver.received]
    assert len(ids) == len(set(ids)) == 12


async def test_a_dead_receiver_does_not_hold_up_the_others(book: JobBook) -> None:
    """D9: after its first few time-outs the rest is given back untried."""
    async with running_receiver() as dead, running_receiver() as alive:
        dead.silent = True
        async with sender(book, dead.origin, alive.origin, timeout_seconds=0.3) as opened:
            stuck = Post(courier(book, opened), dead, book)
            well = Post(courier(book, opened), alive, book)
            for _ in range(12):
                await stuck.job()
            await well.job()
            tally = await well.courier.drain()
    assert tally.delivered == 1
    assert 1 <= tally.failed <= 4
    assert tally.failed + tally.postponed == 12
    rows = await stuck.rows()
    assert sorted({row.attempts for row in rows}) == [0, 1]
    assert all(row.claimed_until is None for row in rows)


async def test_version_1_is_marked_in_the_header_only(post: Post) -> None:
    """WH-13, CON-71."""
    await post.job(version=1)
    await post.courier.drain()
    (got,) = post.receiver.received
    assert got.headers["x-meetbot-webhook-version"] == "1"
    assert "version" not in got.json

"""A receiver that is away for an evening loses nothing (WH-23, WH-25, WH-28)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import col, func, select

from core.jobs.lifecycle import Status
from core.settings import WebhookSettings
from core.webhooks import ledger
from core.webhooks.delivery import Courier
from core.webhooks.models import Delivery, DeliveryStatus
from core.webhooks.sending import Sender
from tests.support.jobs import JobBook
from tests.support.receiver import Receiver, running_receiver

pytestmark = pytest.mark.integration

MEETINGS = 6


async def pending(book: JobBook) -> int:
    async with book.database.begin() as session:
        waiting = select(func.count()).where(col(Delivery.status) == DeliveryStatus.PENDING)
        return (await session.exec(waiting)).one()


async def let_pass(book: JobBook, courier: Courier, hours: float) -> None:
    """The deployment drains every ten seconds; here, whenever something is due."""
    end = book.now + timedelta(hours=hours)
    while True:
        async with book.database.begin() as session:
            soonest = select(func.min(Delivery.next_attempt_at)).where(
                col(Delivery.status) == DeliveryStatus.PENDING
            )
            due = (await session.exec(soonest)).one()
        if due is None or due > end:
            break
        book.clock.advance(max(0.0, (due - book.now).total_seconds()))
        await courier.drain()
    book.clock.advance(max(0.0, (end - book.now).total_seconds()))


async def meetings(book: JobBook, receiver: Receiver) -> list[str]:
    target = {"onFinalize": receiver.url, "version": 2, "events": None}
    jobs = []
    for _ in range(MEETINGS):
        job = await book.add(webhooks=target)
        await book.bring_to(job, Status.FINALIZING)
        jobs.append(job.id)
        book.clock.advance(600)
    return jobs


def courier_of(book: JobBook, sender: Sender) -> Courier:
    settings = WebhookSettings()
    return Courier(book.database, sender, book.box, settings, book.clock, random=lambda: 0.5)


async def test_what_was_away_for_longer_is_replayed(book: JobBook) -> None:
    async with (
        running_receiver() as receiver,
        Sender(timeout_seconds=10, trusted_origins=(receiver.origin,), clock=book.clock) as sender,
    ):
        courier = courier_of(book, sender)
        began = book.now
        receiver.statuses = [503] * 10_000
        jobs = await meetings(book, receiver)
        await let_pass(book, courier, 3.5)
        assert await pending(book) > 0, "three hours and a half exhaust nothing"

        # It stays away for longer than anybody is tried.
        await let_pass(book, courier, 6)
        assert await pending(book) == 0
        receiver.statuses.clear()
        receiver.received.clear()
        async with book.database.begin() as session:
            lost = ledger.Replay("evening", began, book.now, status=DeliveryStatus.EXHAUSTED)
            made, more = await ledger.replay(
                session, book.team_id, True, lost, limit=200, now=book.now
            )
        assert (len(made), more) == (4 * MEETINGS, None)
        await let_pass(book, courier, 1)

    got = [one.json for one in receiver.received]
    assert len(got) == 4 * MEETINGS
    assert len({one["resendOf"] for one in got}) == 4 * MEETINGS
    assert {one["attempt"] for one in got} == {1}
    for job_id in jobs:
        stamps = [one["emittedAt"] for one in got if one["data"]["jobId"] == job_id]
        assert stamps == sorted(stamps), "those of one job come in the order of their events"
        assert len(set(stamps)) == 4


async def test_an_evening_alone_needs_no_replay(book: JobBook) -> None:
    async with (
        running_receiver() as receiver,
        Sender(timeout_seconds=10, trusted_origins=(receiver.origin,), clock=book.clock) as sender,
    ):
        courier = courier_of(book, sender)
        receiver.statuses = [500] * 10_000
        await meetings(book, receiver)
        await let_pass(book, courier, 2)
        receiver.statuses.clear()
        receiver.received.clear()
        await let_pass(book, courier, 5)
    async with book.database.begin() as session:
        states = {row.status for row in (await session.exec(select(Delivery))).all()}
    assert states == {DeliveryStatus.DELIVERED}
    assert len({one.json["deliveryId"] for one in receiver.received}) == 4 * MEETINGS
    assert len(receiver.received) == 4 * MEETINGS


async def test_a_delivery_that_is_erased_while_it_is_sent_does_no_harm(book: JobBook) -> None:
    async with (
        running_receiver() as receiver,
        Sender(timeout_seconds=10, trusted_origins=(receiver.origin,), clock=book.clock) as sender,
    ):
        job = await book.add(webhooks={"onFinalize": receiver.url, "version": 2, "events": None})
        await book.bring_to(job, Status.JOINING)
        courier = courier_of(book, sender)
        post = sender.post

        async def post_and_erase(url: str, body: bytes, headers: object) -> object:
            async with book.database.begin() as session:
                for row in (await session.exec(select(Delivery))).all():
                    await session.delete(row)
            return await post(url, body, headers)  # type: ignore[arg-type]

        sender.post = post_and_erase  # type: ignore[method-assign, assignment]
        assert (await courier.drain()).delivered == 1

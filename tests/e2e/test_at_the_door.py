"""Bots that never get in: each ends in the right status, code and words, everywhere alike."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.schemas import HostAction, RoomCreated, RoomOptions
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUIET = RoomOptions(script=None, video=False, captions=False)
LOBBY = RoomOptions(script=None, video=False, captions=False, lobby=True)


async def lobby_room(product: RunningStack) -> tuple[RoomCreated, tuple[str, ...]]:
    """A room with a lobby, and what opens it."""
    room = await product.sandbox.create_room(LOBBY)
    return room, (room.guest_token.get_secret_value(),)


async def test_a_room_that_cannot_be_reached_is_a_network_loss(product: RunningStack) -> None:
    """Bad input: unreachable room. Joining is tried three times (LC-09)."""
    customer = Customer(product)
    room = await product.sandbox.create_room(QUIET)
    with product.sandbox_gate.closed():
        job_id = await customer.dispatch(room.guest_url)
        await customer.until_over(job_id)
    job, run = await ended(
        product,
        job_id,
        Ended("failed", "error", "network_loss", "could not be reached|did not answer", False),
    )
    (join,) = [task for task in run.tasks if task["name"].startswith("join-")]
    assert join["run_count"] == 3
    assert job["durationSeconds"] in (None, 0)


async def test_a_room_that_does_not_exist_is_said_so(product: RunningStack) -> None:
    """Bad input: room not found; and it is not tried again."""
    customer = Customer(product)
    origin = product.settings.sandbox.origin
    job_id = await customer.dispatch(f"{origin}/r/0000000000?t=nobodys-token-of-22-ch")
    _, run = await ended(
        product,
        job_id,
        Ended("failed", "error", "meeting_not_found", "", False, ("nobodys-token-of-22-ch",)),
    )
    (join,) = [task for task in run.tasks if task["name"].startswith("join-")]
    assert join["run_count"] == 1


async def test_a_denial_and_a_lobby_where_nobody_comes(product: RunningStack) -> None:
    """Bad input: denied, and lobby timeout (LC-26); both at once, to save time."""
    customer = Customer(product)
    (strict, tokens), (empty, others) = await asyncio.gather(
        lobby_room(product), lobby_room(product)
    )
    denied, forgotten = await asyncio.gather(
        customer.dispatch(strict.guest_url),
        customer.dispatch(empty.guest_url, autoLeave={"afterEntryDelaySeconds": 3}),
    )
    await customer.until_status(denied, "entering_lobby")
    await product.sandbox.host(strict.room_id, HostAction.DENY)
    await ended(
        product, denied, Ended("failed", "error", "host_denied_admission", "", False, tokens)
    )
    await ended(
        product,
        forgotten,
        Ended("failed", "error", "lobby_timeout", "after 3 s in the lobby", False, others),
    )
    for job_id in (denied, forgotten):
        told = [w.body["data"]["status"] for w in customer.webhooks(job_id)]
        assert told[:3] == ["joining", "entering_lobby", "failed"]


async def test_a_cancel_in_the_lobby_leaves_nothing_behind(product: RunningStack) -> None:
    """LC-12: the bot goes from the door, and there is nothing to deliver."""
    customer = Customer(product)
    room, tokens = await lobby_room(product)
    job_id = await customer.dispatch(room.guest_url)
    await customer.until_status(job_id, "entering_lobby")
    await customer.cancel(job_id)
    await ended(product, job_id, Ended("cancelled", "cancelled", manifest=False, hidden=tokens))
    assert (await product.sandbox.room(room.room_id)).lobby == ()


async def test_a_browser_that_does_not_start_is_our_fault(product: RunningStack) -> None:
    """Bad input: browser that does not start; three attempts, then `internal_error`."""
    customer = Customer(product)
    room = await product.sandbox.create_room(QUIET)
    with product.broken_browser():
        job_id = await customer.dispatch(room.guest_url)
        await customer.until_over(job_id)
    _, run = await ended(
        product,
        job_id,
        Ended("failed", "error", "internal_error", "MEETBOT_BOT__CHROMIUM", False),
    )
    (join,) = [task for task in run.tasks if task["name"].startswith("join-")]
    assert join["run_count"] == 3

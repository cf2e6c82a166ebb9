"""The published handlers and verifiers, on what came over the wire (WH-04, WH-10, CON-06…15).

Those for Go are in `test_go_consumers.py`.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.accounts.webhook_secret import GRACE, rotate_webhook_secret
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.settlement import Settlement, settle
from core.settings import WebhookSettings
from core.webhooks.delivery import Courier
from core.webhooks.sending import Sender
from tests.core.webhooks.consumers import (
    Handle,
    Verify,
    failure_handler,
    flask_handler,
    next_handler,
    node_verify,
    python_verify,
)
from tests.support.jobs import JobBook
from tests.support.receiver import Received, running_receiver

pytestmark = pytest.mark.integration

VERIFIERS = [python_verify, node_verify]
HANDLERS = [flask_handler, next_handler]
MANIFEST = "s3://bucket/recordings/x/manifest.json"


async def captured(
    book: JobBook, settlement: Settlement, version: int = 2
) -> tuple[list[Received], str]:
    """All webhooks of a job that ends so, as a receiver gets them; and the team's secret."""
    async with (
        running_receiver() as receiver,
        Sender(timeout_seconds=10, trusted_origins=(receiver.origin,), clock=book.clock) as sender,
    ):
        target = {"onFinalize": receiver.url, "version": version, "events": None}
        job = await book.add(webhooks=target, labels={"name": "Zoë \u2028 „x“"})
        await book.bring_to(job, Status.FINALIZING)
        async with book.database.begin() as session:
            await settle(session, job.id, settlement, now=book.now)
        await Courier(book.database, sender, book.box, WebhookSettings(), book.clock).drain()
    async with book.database.begin() as session:
        team = await session.get_one(Team, book.team_id)
    secret = webhook_secrets(team, book.box, now=book.now)[-1]
    return receiver.received, secret.get_secret_value()


DONE = Settlement(ExitReason.CALL_ENDED, recorded_seconds=90, manifest_uri=MANIFEST)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("handle", HANDLERS)
async def test_the_published_handlers_take_a_finished_recording(
    book: JobBook, handle: Handle, version: int
) -> None:
    received, secret = await captured(book, DONE, version)
    assert len(received) == 6
    handled = [handle(one.body, one.headers, secret) for one in received]
    assert {one.status for one in handled} == {200}
    (queued,) = [what for one in handled for what in one.queued]
    assert queued["manifestUri"] == MANIFEST
    assert queued["jobId"].startswith("job_")
    # What the sample's own type promises is there.
    last = received[-1].json
    assert (last["type"], last["data"]["durationSeconds"]) == ("recording.finalized", 90)
    assert last["data"]["externalId"] == queued["jobId"]


@pytest.mark.parametrize("handle", HANDLERS)
async def test_the_published_handlers_refuse_what_is_not_ours(
    book: JobBook, handle: Handle
) -> None:
    received, secret = await captured(book, DONE)
    one = received[-1]
    assert handle(one.body + b" ", one.headers, secret).status == 401
    assert handle(one.body, one.headers, f"{secret}x").status == 401
    assert handle(one.body, {}, secret).status == 401


@pytest.mark.parametrize(
    ("code", "did"),
    [
        (FailureCode.HOST_DENIED_ADMISSION, "notify"),
        (FailureCode.LOBBY_TIMEOUT, "retry"),
        (FailureCode.AUTH_FAILURE, "page"),
        (FailureCode.INTERNAL_ERROR, "warn"),
        (FailureCode.REMOVED_FROM_MEETING, "finalized"),
    ],
)
async def test_the_published_branch_on_failure_codes_works(
    book: JobBook, code: FailureCode, did: str
) -> None:
    """WH-11, CON-13."""
    received, secret = await captured(book, Settlement(ExitReason.ERROR, code, "What was seen."))
    last = received[-1]
    assert last.json["type"] == "bot.failed"
    (acted,) = failure_handler(last.body, last.headers, secret).queued
    assert acted["did"] == did
    if did in {"notify", "page", "warn"}:
        assert acted["failure_detail"] == "What was seen."


@pytest.mark.parametrize("verify", VERIFIERS)
async def test_a_published_verifier_reads_both_phases_of_a_rotation(
    book: JobBook, verify: Verify
) -> None:
    await reads_both_phases_of_a_rotation(book, verify)


async def reads_both_phases_of_a_rotation(book: JobBook, verify: Verify) -> None:
    """WH-31, WH-32, CON-48: the previous secret signs first, for Node's, which reads no further."""
    _, old = await captured(book, DONE)
    async with book.database.begin() as session:
        await rotate_webhook_secret(session, book.box, book.team_id, now=book.now)
    received, new = await captured(book, DONE)
    header = received[-1].headers["x-meetbot-signature"]
    assert [part.partition("=")[0] for part in header.split(",")] == ["sha256", "sha256"]
    first, second = header.split(",")
    assert verify(received[-1].body, first, old)
    assert verify(received[-1].body, second, new)
    if verify is node_verify:
        assert verify(received[-1].body, header, old)
    book.clock.advance((GRACE + timedelta(seconds=1)).total_seconds())
    received, new = await captured(book, DONE)
    assert verify(received[-1].body, received[-1].headers["x-meetbot-signature"], new)

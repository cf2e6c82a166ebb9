"""What every route of teams is asked for in the tests that go over all of them.

A route that is not here fails `test_tenants.py`: add it with the resource that its path names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr
from sqlmodel import select

from core.accounts.service import mint_key
from core.calendars.connections import NewConnection
from core.calendars.connections import connect as connect_calendar
from core.calendars.grants import Grant
from core.calendars.models import CalendarService
from core.calendars.rule_store import create_rule
from core.calendars.rules import Match
from core.ids import new_id
from core.integrations.pool import Owner, connect
from core.integrations.state import DOMAINS, Provider, StorageState
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.settlement import Settlement, settle
from core.webhooks.models import Delivery
from tests.support.accounts import signed_in
from tests.support.jobs import JobBook

Maker = Callable[[JobBook], Awaitable[str]]


async def a_job(book: JobBook) -> str:
    # Of a platform that has all verbs.
    return (await book.add(platform="jitsi", driver="jitsi")).id


async def a_key(book: JobBook) -> str:
    async with book.database.begin() as session:
        row, _ = await mint_key(session, book.team_id, "x", livemode=True, now=book.now)
    return row.id


async def an_integration(book: JobBook) -> str:
    state = StorageState.model_validate(signed_in("zoom.us"))
    async with book.database.begin() as session:
        row = await connect(
            session,
            book.box,
            Owner(book.team_id, livemode=True),
            Provider.ZOOM,
            "bot@example.com",
            state,
            now=book.now,
        )
    return row.id


async def a_calendar(book: JobBook) -> str:
    new = NewConnection(
        owner=Owner(book.team_id, livemode=True),
        connection_id=new_id("cal"),
        provider=CalendarService.ICS,
        calendar_id="",
        account=None,
        grant=Grant(url=SecretStr("https://calendars.example/a.ics")),
    )
    async with book.database.begin() as session:
        return (await connect_calendar(session, book.box, new, now=book.now)).id


async def a_rule(book: JobBook) -> str:
    fields: dict[str, Any] = {"priority": 1, "action": "record", "match": Match()}
    async with book.database.begin() as session:
        row = await create_rule(
            session,
            Owner(book.team_id, livemode=True),
            fields | {"enabled": True, "bot_defaults": None},
            now=book.now,
        )
    return row.id


async def a_delivery(book: JobBook) -> str:
    job = await book.add()
    await book.bring_to(job, Status.JOINING)
    async with book.database.begin() as session:
        return (await session.exec(select(Delivery.id).where(Delivery.job_id == job.id))).one()


async def an_ended_job(book: JobBook) -> str:
    """One with a manifest, so that it is a recording."""
    job = await book.add()
    await book.bring_to(job, Status.FINALIZING)
    ending = Settlement(
        ExitReason.CALL_ENDED, recorded_seconds=90, manifest_uri=f"s3://b/recordings/{job.id}/m"
    )
    async with book.database.begin() as session:
        await settle(session, job.id, ending, now=book.now)
    return job.id


@dataclass(frozen=True)
class Example:
    """A request that a team may make of its own.

    Args:
        owns: what makes the resource that each parameter of the path names.
        body: a good JSON body, where the route takes one.
        endless: the answer does not end by itself; its own tests read it.
    """

    owns: Mapping[str, Maker] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    endless: bool = False


A_BUCKET: Final = {
    "bucket": "s3://acme-calls/meetings",
    "accessKeyId": "AKIAEXAMPLE",
    "secretAccessKey": "a secret",
}
_OF_A_JOB: Final = Example({"id": a_job})
_OF_A_RECORDING: Final = Example({"id": an_ended_job})
_VERBS: Final = ("pause", "resume", "stop", "start")

EXAMPLES: Final[Mapping[tuple[str, str], Example]] = {
    **{
        ("POST", f"/api/v1/integrations/{provider}/connect"): Example(
            body={
                "label": "bot@example.com",
                "storageState": signed_in(DOMAINS[provider][0]),
            }
        )
        for provider in Provider
    },
    ("GET", "/api/v1/integrations"): Example(),
    ("DELETE", "/api/v1/integrations/{id}"): Example({"id": an_integration}),
    ("POST", "/api/v1/calendar/connect"): Example(body={"provider": "google"}),
    ("POST", "/api/v1/calendar/grants"): Example(
        body={"provider": "google", "refreshToken": "a token"}
    ),
    ("GET", "/api/v1/calendar/connections"): Example(),
    ("GET", "/api/v1/calendar/connections/{id}"): Example({"id": a_calendar}),
    ("DELETE", "/api/v1/calendar/connections/{id}"): Example({"id": a_calendar}),
    ("POST", "/api/v1/calendar/connections/{id}/sync"): Example({"id": a_calendar}),
    ("GET", "/api/v1/calendar/rules"): Example(),
    ("POST", "/api/v1/calendar/rules"): Example(body={"action": "record"}),
    ("POST", "/api/v1/calendar/rules/dry-run"): Example(body={}),
    ("GET", "/api/v1/calendar/rules/{id}"): Example({"id": a_rule}),
    ("PATCH", "/api/v1/calendar/rules/{id}"): Example({"id": a_rule}, {"priority": 2}),
    ("DELETE", "/api/v1/calendar/rules/{id}"): Example({"id": a_rule}),
    ("GET", "/api/v1/calendar/events"): Example(),
    ("GET", "/api/v1/jobs"): Example(),
    ("POST", "/api/v1/jobs"): Example(body={"meetingUrl": "https://meet.google.com/abc-defg-hij"}),
    ("GET", "/api/v1/jobs/{id}"): _OF_A_JOB,
    ("DELETE", "/api/v1/jobs/{id}"): _OF_A_JOB,
    ("GET", "/api/v1/jobs/{id}/events"): _OF_A_JOB,
    ("GET", "/api/v1/jobs/{id}/evidence"): _OF_A_JOB,
    ("POST", "/api/v1/jobs/{id}/leave-call"): _OF_A_JOB,
    ("POST", "/api/v1/jobs/{id}/request-recording-permission"): _OF_A_JOB,
    **{("POST", f"/api/v1/jobs/{{id}}/{verb}-recording"): _OF_A_JOB for verb in _VERBS},
    ("POST", "/api/v1/jobs/{id}/send-chat-message"): Example({"id": a_job}, {"message": "Hi"}),
    ("POST", "/api/v1/jobs/{id}/pin-participant"): Example({"id": a_job}, {"displayName": "Ada"}),
    ("POST", "/api/v1/jobs/{id}/screenshot"): _OF_A_JOB,
    ("POST", "/api/v1/jobs/{id}/output-media"): Example(
        {"id": a_job}, {"kind": "image", "data": "iVBORw0KGgo="}
    ),
    ("DELETE", "/api/v1/jobs/{id}/output-media"): _OF_A_JOB,
    ("GET", "/api/v1/keys"): Example(),
    ("POST", "/api/v1/keys"): Example(body={"name": "ci", "mode": "live"}),
    ("DELETE", "/api/v1/keys/{id}"): Example({"id": a_key}),
    ("GET", "/api/v1/webhook-secret"): Example(),
    ("POST", "/api/v1/webhook-secret/rotate"): Example(),
    ("GET", "/api/v1/jobs/{id}/transcript"): _OF_A_RECORDING,
    ("GET", "/api/v1/recordings"): Example(),
    ("GET", "/api/v1/recordings/{id}"): _OF_A_RECORDING,
    ("DELETE", "/api/v1/recordings/{id}"): _OF_A_RECORDING,
    ("GET", "/api/v1/recordings/{id}/deletion"): _OF_A_RECORDING,
    ("GET", "/api/v1/webhooks/deliveries"): Example(),
    ("GET", "/api/v1/webhooks/deliveries/{deliveryId}"): Example({"deliveryId": a_delivery}),
    ("POST", "/api/v1/webhooks/deliveries/{deliveryId}/resend"): Example(
        {"deliveryId": a_delivery}
    ),
    ("POST", "/api/v1/webhooks/replay"): Example(body={"since": "2026-01-01T00:00:00Z"}),
    ("GET", "/api/v1/webhooks/stream"): Example(endless=True),
    ("GET", "/api/v1/settings/webhooks"): Example(),
    ("PUT", "/api/v1/settings/webhooks"): Example(body={"version": 1}),
    ("GET", "/api/v1/consumer"): Example(),
    ("GET", "/api/v1/usage"): Example(),
    ("GET", "/api/v1/usage/events"): Example(),
    ("POST", "/api/v1/billing/portal"): Example(),
    ("POST", "/api/v1/billing/setup"): Example(),
    ("GET", "/api/v1/billing/invoices"): Example(),
    ("POST", "/api/v1/jobs/{id}/transcribe"): Example({"id": a_job}, {"mode": "addon"}),
    ("GET", "/api/v1/settings/storage"): Example(),
    ("PUT", "/api/v1/settings/storage"): Example(body=A_BUCKET),
    ("POST", "/api/v1/settings/storage/test"): Example(body=A_BUCKET),
    ("GET", "/api/v1/settings/transcription"): Example(),
    ("PUT", "/api/v1/settings/transcription"): Example(body={"mode": "addon"}),
    ("GET", "/auth/session"): Example(),
    ("POST", "/auth/logout"): Example(),
    ("POST", "/api/v1/cli-auth/complete"): Example(body={"nonce": "x" * 43, "approve": False}),
}

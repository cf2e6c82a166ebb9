"""From a mail to a recording: somebody invites the bot, and everything follows (CAL-01, API-21)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from pathlib import Path

import aiosmtplib
import pytest

from core.accounts.models import Membership
from core.accounts.people import sign_in
from core.clock import SystemClock
from core.secrets import SecretBox
from intake.run import run
from sandbox.schemas import RoomOptions
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.support.certificates import certificate_of
from tests.support.invites import calendar, event
from tests.support.mails import BOT, mail, names_of, signed
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

INVITER = "ada@example.com"
AHEAD = timedelta(seconds=12)
SECONDS = 3


@dataclass(frozen=True)
class Door:
    """Where mail is taken, and whose certificate that is."""

    port: int
    trusted: ssl.SSLContext

    async def send(self, raw: bytes) -> None:
        """As a mail server does: encrypted, to the address of the bot."""
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1",
            port=self.port,
            start_tls=True,
            tls_context=self.trusted,
            timeout=30,
        ) as client:
            await client.sendmail(INVITER, [BOT], raw)


@pytest.fixture
async def door(product: RunningStack, tmp_path: Path) -> AsyncIterator[Door]:
    """The mail worker beside the stack, which takes mail by STARTTLS only."""
    certificate, key = certificate_of(tmp_path, "mx.example.net")
    chosen = product.settings.intake.model_copy(
        update={
            "addresses": (BOT,),
            "token": product.settings.api.intake_tokens[0],
            "smtp_host": "127.0.0.1",
            "smtp_port": 0,
            "tls_certificate": certificate,
            "tls_key": key,
            "require_tls": True,
        }
    )
    settings = product.settings.model_copy(update={"intake": chosen, "data_dir": tmp_path})
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    names = names_of("example.com")
    worker = asyncio.create_task(run(settings, SystemClock(), resolver=names, listening=listening))
    try:
        async with asyncio.timeout(30):
            port = await listening
        yield Door(port, ssl.create_default_context(cafile=str(certificate)))
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker


async def test_an_invite_becomes_a_recording(product: RunningStack, door: Door) -> None:
    """CAL-01, CAL-02, LC-19, WH-13: the bot joins on time and the team is told by its webhooks."""
    customer = Customer(product)
    await known(product)
    room = await product.sandbox.create_room(RoomOptions(video=False))
    answer = await product.api.put("/api/v1/settings/webhooks", json={"onFinalize": product.hook})
    assert answer.status_code == 200, answer.text
    due = (datetime.now(UTC) + AHEAD).replace(microsecond=0)

    await door.send(signed(bytes(invite(room.guest_url, due))))
    job_id = await customer.job_from("invite")
    await customer.until_recorded(job_id, SECONDS)
    await customer.leave(job_id)

    hidden = (room.guest_token.get_secret_value(), INVITER)
    job, flow_run = await ended(
        product, job_id, Ended("completed", "leave_requested", hidden=hidden)
    )
    assert (job["source"], job["joinAt"]) == ("invite", f"{due:%Y-%m-%dT%H:%M:%S}.000Z")
    assert job["metadata"]["invite"]["organizer"] == INVITER
    assert "invite" in flow_run.run["tags"]
    (joining,) = [
        one for one in customer.webhooks(job_id) if one.body["data"]["status"] == "joining"
    ]
    late = datetime.fromisoformat(joining.body["emittedAt"]) - due
    assert timedelta(0) <= late < timedelta(seconds=20), f"{job['createdAt']} for {due}"
    assert all(one.verified for one in customer.webhooks(job_id))
    assert (await accepted(product))["From"] == BOT
    cleared = await product.api.put("/api/v1/settings/webhooks", json={"onFinalize": None})
    assert cleared.status_code == 200


async def known(product: RunningStack) -> None:
    """The inviter logs in as a member of the team."""
    box = SecretBox(product.settings.encryption_keys)
    async with product.database.begin() as session:
        # Before their own team, which they get at their first login.
        user, own = await sign_in(session, box, INVITER, now=SystemClock().now())
        earlier = SystemClock().now() - timedelta(days=1)
        if own.id != product.team.id:
            session.add(Membership(user_id=user.id, team_id=product.team.id, created_at=earlier))


def invite(url: str, due: datetime) -> EmailMessage:
    """An event that begins at `due`, to which the bot is invited."""
    text = event(
        f"ATTENDEE;RSVP=TRUE:mailto:{BOT}",
        uid=f"{due:%H%M%S}@example.com",
        start=f"DTSTART:{due:%Y%m%dT%H%M%SZ}",
        end=f"DTEND:{due + timedelta(minutes=30):%Y%m%dT%H%M%SZ}",
        stamp=f"{due - timedelta(days=1):%Y%m%dT%H%M%SZ}",
        link=f"LOCATION:{url}",
        organizer=INVITER,
    )
    return mail(calendar(text), sender=f"Ada <{INVITER}>")


async def accepted(product: RunningStack) -> Message:
    """The bot's answer to the organizer: by mail, with nobody to return it to (RFC 3834)."""
    async with asyncio.timeout(30):
        while True:
            for returned_to, recipients, message in product.mailbox.mails:
                if recipients == [INVITER] and str(message["Subject"]).startswith("Accepted:"):
                    assert returned_to == "<>"
                    kinds = {part.get_content_type(): part for part in message.walk()}
                    reply = kinds["text/calendar"]
                    assert "PARTSTAT=ACCEPTED" in str(reply.get_payload(decode=True))
                    return message
            await asyncio.sleep(0.2)

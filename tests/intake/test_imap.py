"""The poller on a real IMAP server, a program of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError
from pydantic import SecretStr

from core.errors import Unavailable
from core.invites.settings import IntakeSettings
from intake.authentication import DnsAway, Verdicts
from intake.imap import LONGEST_WAIT, Poller, trusted_results
from intake.mail import read_mail
from intake.posting import Poster
from intake.replies import Replies
from intake.spool import Received, Spool
from tests.support.clock import ManualClock
from tests.support.invites import calendar, event
from tests.support.mails import BOT, Names, mail, names_of, signed
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

START_SECONDS = 30
# Of the server's demonstration.
PASSWORD = "demopass"
RAW = mail(calendar(event())).as_bytes().replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[int]:
    """pymap with a mailbox of `demouser`; its port."""
    port = free_port()
    script = str(Path(sys.executable).parent / "pymap")
    process = await asyncio.create_subprocess_exec(
        *(script, "--host", "127.0.0.1", "--port", str(port), "--no-tls"),
        *("dict", "--demo-data"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(answers, port):
                await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def answers(port: int) -> bool:
    try:
        with IMAPClient("127.0.0.1", port=port, ssl=False, timeout=2) as client:
            client.login("demouser", PASSWORD)
    except (OSError, IMAPClientError):
        return False
    return True


def put(port: int, *mails: bytes) -> None:
    with IMAPClient("127.0.0.1", port=port, ssl=False, timeout=10) as client:
        client.login("demouser", PASSWORD)
        client.select_folder("INBOX")
        # What the server ships with is not ours.
        client.add_flags(client.search(["UNSEEN"]), [b"\\Seen"])
        for raw in mails:
            client.append("INBOX", raw)


def poller(port: int, folder: Path, password: str = PASSWORD) -> Poller:
    settings = IntakeSettings(
        addresses=(BOT,),
        imap_host="127.0.0.1",
        imap_port=port,
        imap_security="none",
        imap_user="demouser",
        imap_password=SecretStr(password),
        imap_authserv_id="mx.meetbot.example",
        most_mib=1,
    )
    clock = ManualClock(datetime.now(UTC))
    return Poller(settings, Spool(folder, most=10), names_of(), clock)


def kept_by(one: Poller) -> list[Received]:
    return [one.spool.get(name) for name in one.spool.names()]


def test_new_mails_are_kept_once_with_what_proves_them(server: int, tmp_path: Path) -> None:
    put(server, signed(RAW))
    one = poller(server, tmp_path)
    assert one.poll() == 1
    assert one.poll() == 0
    (kept,) = kept_by(one)
    assert (kept.recipient, kept.envelope_from) == (BOT, "ada@example.com")
    assert (kept.verdicts.dkim, kept.verdicts.aligned_domain) == ("pass", "example.com")


def test_spf_is_what_our_own_server_noted(server: int, tmp_path: Path) -> None:
    note = b"Authentication-Results: mx.meetbot.example; spf=pass smtp.mailfrom=ada@example.com\r\n"
    put(server, note + RAW)
    one = poller(server, tmp_path)
    one.poll()
    (kept,) = kept_by(one)
    # As DMARC has it, or the API would not follow it.
    assert kept.verdicts == Verdicts("pass", "none", "pass", "example.com")


@pytest.mark.parametrize(
    "note",
    [
        b"Authentication-Results: evil.example; spf=pass smtp.mailfrom=ada@example.com\r\n",
        b"Authentication-Results: evil.example; none\r\n"
        b"Authentication-Results: mx.meetbot.example; spf=pass smtp.mailfrom=ada@example.com\r\n",
        b"Authentication-Results: \xff\xfe;;;\r\n",
    ],
)
def test_notes_of_others_are_not_believed(note: bytes) -> None:
    assert trusted_results(note + RAW, "mx.meetbot.example") == []
    assert trusted_results(note + RAW, None) == []


def test_a_server_that_refuses_or_is_away_is_tried_again_later(server: int, tmp_path: Path) -> None:
    for port, password in ((server, "wrong"), (free_port(), PASSWORD)):
        with pytest.raises(Unavailable):
            poller(port, tmp_path, password).poll()


LARGE = RAW + b"x" * 2 * 1024 * 1024
SMALL = signed(mail(calendar(event(uid="behind"))).as_bytes().replace(b"\n", b"\r\n"))


class Courier:
    """Mail out, kept; and an API that is asked of nothing."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []

    async def deliver(self, message: EmailMessage, *, returned_to: str | None = None) -> None:
        assert returned_to == ""
        self.sent.append(message)


async def answers_to(one: Poller) -> list[EmailMessage]:
    """What people are told of what was kept."""
    courier = Courier()
    took: dict[str, Any] = {"accepted": True, "ignoredReason": None, "message": None, "jobs": []}
    transport = httpx.MockTransport(lambda _: httpx.Response(202, json=took))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
        replies = Replies(courier, one.settings, one.clock)
        await Poster(one.spool, client, replies, one.clock, zone="UTC").drain()
    return courier.sent


async def test_who_sends_too_much_is_told_so_once_by_its_headers(
    server: int, tmp_path: Path
) -> None:
    """As by SMTP, where the sender's server gets a 552; the mails behind it are read."""
    put(server, signed(LARGE), SMALL)
    one = poller(server, tmp_path)
    assert one.poll() == 2
    assert one.poll() == 0
    large = next(mail for mail in kept_by(one) if mail.refusal is not None)
    assert b"x" * 100 not in large.raw
    (answer,) = await answers_to(one)
    assert answer["Subject"] == "No bot will come: Invitation: Weekly"
    assert (answer["To"], answer["Auto-Submitted"]) == ("ada@example.com", "auto-replied")
    assert "3 MiB, and only those of up to 1 MiB" in answer.get_content()
    assert "without attachments" in answer.get_content()


NOBODY_TO_TELL = {
    "not proven": LARGE,
    "a list": signed(b"List-Id: <l.example.com>\r\n" + LARGE),
    "a program": signed(b"Auto-Submitted: auto-generated\r\n" + LARGE),
    "returned": b"Return-Path: <>\r\n" + signed(LARGE),
    "another's signature": signed(LARGE).replace(b"From: Ada <ada", b"From: Bob <bob"),
}


@pytest.mark.parametrize("raw", NOBODY_TO_TELL.values(), ids=NOBODY_TO_TELL)
async def test_nobody_is_told_of_a_large_mail_who_should_not_be(
    server: int, tmp_path: Path, raw: bytes
) -> None:
    """RFC 3834."""
    put(server, raw)
    one = poller(server, tmp_path)
    assert one.poll() == 1
    assert await answers_to(one) == []


async def test_a_mail_that_cannot_be_proven_now_keeps_back_no_other(
    server: int, tmp_path: Path
) -> None:
    """Whoever has servers for names that do not answer could close the mailbox for everybody."""
    stuck = mail(calendar(event(uid="stuck"))).as_bytes().replace(b"\n", b"\r\n")
    put(server, signed(stuck, "stuck.example"), SMALL)
    one = poller(server, tmp_path)
    one.resolver = Stuck(names_of().records)
    assert one.poll() == 1
    put_off = kept_by(one)
    assert [b"UID:behind" in mail.raw for mail in put_off] == [True]
    with pytest.raises(Unavailable, match="cannot be proven now"):
        one.poll()
    # Nobody is there to give up, so we do.
    one.clock = ManualClock(datetime.now(UTC) + LONGEST_WAIT + timedelta(minutes=1))
    assert one.poll() == 1
    assert [mail.verdicts.spf for mail in kept_by(one)] == ["temperror", "none"]


class Stuck(Names):
    """The servers of one domain do not answer."""

    def look_up(self, name: str, kind: str) -> Sequence[Any]:
        if name.endswith("stuck.example"):
            raise DnsAway("stuck")
        return super().look_up(name, kind)


def test_mails_are_kept_in_order_and_not_twice_when_marking_fails(
    server: int, tmp_path: Path
) -> None:
    uids = [f"number-{number}" for number in range(5)]
    put(
        server,
        *(mail(calendar(event(uid=uid))).as_bytes().replace(b"\n", b"\r\n") for uid in uids),
    )
    one = poller(server, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IMAPClient, "add_flags", fails)
        with pytest.raises(Unavailable):
            one.poll()
    (first,) = one.spool.names()
    # The poster was quick.
    one.spool.done(first)
    assert one.poll() == 5
    assert [read_mail(mail.raw).invites[0].uid for mail in kept_by(one)] == uids[1:]


def fails(*_: object) -> None:
    raise OSError("the connection is gone")

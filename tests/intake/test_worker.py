"""The worker over the wire: SMTP in, the API's answer, mail out (CAL-01, CAL-02, RFC 3834)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import httpx
import pytest

from core.errors import Unavailable
from core.invites.refusals import unreadable
from core.invites.settings import IntakeSettings
from intake.authentication import Verdicts
from intake.mail import Mail
from intake.posting import Outcome, Poster
from intake.replies import Replies
from intake.smtp import Rates, Receiver, receiving
from intake.spool import Received, Spool
from tests.support.clock import ManualClock
from tests.support.invites import calendar, event
from tests.support.mails import BOT, Names, mail, names_of, signed

pytestmark = pytest.mark.integration

ATTENDEE = f"ATTENDEE;RSVP=TRUE:mailto:{BOT}"
PROVEN = Verdicts("pass", "pass", "pass", "example.com")


class Worker:
    """Receiver, spool and poster; the API is a function, and mail out is kept."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.clock = ManualClock()
        self.settings = IntakeSettings(
            addresses=(BOT,), smtp_host="127.0.0.1", smtp_port=0, most_mib=1, **more
        )
        self.spool = Spool(folder, most=3)
        self.names = names_of()
        self.posted: list[dict[str, Any]] = []
        self.sent: list[tuple[EmailMessage, str | None]] = []
        self.status = 202
        self.result: dict[str, Any] = {"accepted": True, "ignoredReason": None, "message": None}
        self.port = 0
        self.receiver = Receiver(
            self.settings, self.spool, self.names, Rates(self.settings.mails, self.clock)
        )
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(self._api), base_url="http://api.example"
        )
        self.poster = Poster(
            self.spool, client, Replies(self, self.settings, self.clock), self.clock, zone="UTC"
        )

    def _api(self, request: httpx.Request) -> httpx.Response:
        self.posted.append(json.loads(request.content))
        return httpx.Response(self.status, json=self.result)

    async def deliver(self, message: EmailMessage, *, returned_to: str | None = None) -> None:
        self.sent.append((message, returned_to))

    async def send(
        self, message: EmailMessage | bytes, *, to: str = BOT, sender: str = "ada@example.com"
    ) -> None:
        raw = message if isinstance(message, bytes) else message.as_bytes()
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, timeout=20) as client:
            await client.sendmail(sender, [to], raw)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    made = Worker(tmp_path / "spool")
    async with receiving(made.receiver) as port:
        made.port = port
        yield made


def invite(*lines: str, **more: str) -> EmailMessage:
    return mail(calendar(event(ATTENDEE, *lines)), **more)


async def test_a_mail_over_smtp_is_posted_with_what_its_connection_proved(worker: Worker) -> None:
    raw = signed(invite().as_bytes().replace(b"\n", b"\r\n"))
    await worker.send(raw)
    assert await worker.poster.drain() == 1
    (body,) = worker.posted
    assert (body["recipient"], body["method"], body["uid"]) == (BOT, "REQUEST", "one@example.com")
    assert (body["sender"], body["envelopeFrom"]) == ("ada@example.com", "ada@example.com")
    assert body["auth"] == {
        "spf": "pass",
        "dkim": "pass",
        "dmarc": "pass",
        "alignedDomain": "example.com",
    }
    assert worker.spool.names() == []


async def test_mail_for_others_is_not_taken(worker: Worker) -> None:
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await worker.send(invite(), to="someone@else.example")


async def test_mail_that_is_too_large_is_refused(worker: Worker) -> None:
    with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
        await worker.send(b"Subject: x\r\n\r\n" + b"x" * 70 * 20_000)
    assert refused.value.code == 552


async def test_while_dns_or_the_disk_is_away_senders_are_told_to_come_again(
    worker: Worker,
) -> None:
    worker.names.away = True
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await worker.send(invite())
    assert refused.value.code == 451
    worker.names.away = False
    for _ in range(3):
        await worker.send(invite())
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await worker.send(invite())
    assert refused.value.code == 451


async def test_a_peer_that_sends_too_much_is_told_to_come_again(tmp_path: Path) -> None:
    worker = Worker(tmp_path, mails=1)
    async with receiving(worker.receiver) as worker.port:
        await worker.send(invite())
        with pytest.raises(aiosmtplib.SMTPDataError):
            await worker.send(invite())
        worker.clock.advance(61)
        await worker.send(invite())


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_what_the_api_does_not_take_now_is_kept(worker: Worker, status: int) -> None:
    await worker.send(invite())
    worker.status = status
    with pytest.raises(Unavailable):
        await worker.poster.drain()
    assert len(worker.spool.names()) == 1
    worker.status = 202
    assert await worker.poster.drain() == 1
    assert worker.spool.names() == []


def test_a_kept_mail_outlives_the_process(tmp_path: Path) -> None:
    kept = Received(b"raw\x00\xff", BOT, "ada@example.com", PROVEN)
    Spool(tmp_path, most=3).put("one", kept)
    (tmp_path / "two.part").write_text("broken off")
    again = Spool(tmp_path, most=3)
    assert (again.names(), again.get("one")) == (["one"], kept)
    assert list(tmp_path.glob("*.part")) == []


async def test_the_bot_accepts_by_an_answer_of_its_calendar(worker: Worker) -> None:
    await worker.send(invite())
    await worker.poster.drain()
    ((message, returned_to),) = worker.sent
    assert (message["To"], message["From"], returned_to) == ("ada@example.com", BOT, "")
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<one@example.com>"
    (part,) = [one for one in message.walk() if one.get_content_type() == "text/calendar"]
    text = part.get_content()
    assert "METHOD:REPLY" in text
    assert "PARTSTAT=ACCEPTED" in text
    assert "UID:one@example.com" in text


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("no_meeting_url", "no link"),
        ("unknown_sender", "Nobody is known"),
        ("in_past", "is over"),
        ("credit_exhausted", "used up"),
    ],
)
async def test_the_bot_declines_and_says_why(worker: Worker, reason: str, message: str) -> None:
    worker.result = {"accepted": False, "ignoredReason": reason, "message": f"x {message} x"}
    await worker.send(invite())
    await worker.poster.drain()
    ((answer, _),) = worker.sent
    assert "PARTSTAT=DECLINED" in answer.as_string()
    body = answer.get_body(("plain",))
    assert body is not None
    assert message in body.get_content()


async def test_who_calls_a_meeting_off_is_not_told_that_the_bot_will_be_there(
    worker: Worker,
) -> None:
    """By an invite that says STATUS:CANCELLED."""
    worker.result = worker.result | {"jobs": [{"action": "cancelled"}]}
    await worker.send(invite("STATUS:CANCELLED"))
    await worker.poster.drain()
    assert worker.sent == []


async def test_who_sends_an_invite_that_the_api_cannot_read_is_told_so(worker: Worker) -> None:
    worker.status = 400
    await worker.send(invite())
    await worker.poster.drain()
    ((answer, _),) = worker.sent
    assert "Create the event anew" in answer.as_string()
    assert worker.spool.names() == []


async def test_the_log_says_what_came_of_a_mail_and_not_whose_it_was(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """CV-15."""
    with caplog.at_level(logging.INFO, "intake"):
        await worker.send(invite())
        await worker.poster.drain()
        worker.result |= {"accepted": False, "ignoredReason": "no_meeting_url"}
        await worker.send(invite())
        await worker.poster.drain()
        worker.status = 400
        await worker.send(invite())
        await worker.poster.drain()
        await worker.send(HEAD % b"ada@example.com")
        await worker.poster.drain()
    said = [line.getMessage() for line in caplog.records if line.levelno == logging.INFO]
    assert [line.partition("': ")[2] for line in said] == [
        "accepted", "not accepted (no_meeting_url)", "not accepted (unreadable)", "no invite",
    ]  # fmt: skip
    assert "ada@" not in caplog.text


async def test_who_sends_no_invite_is_told_so(worker: Worker) -> None:
    plain = EmailMessage()
    plain["From"], plain["Subject"] = "ada@example.com", "Hi"
    plain.set_content("Please come")
    await worker.send(plain)
    await worker.poster.drain()
    assert [message["Subject"] for message, _ in worker.sent] == ["No bot will come: Hi"]


HEAD = b"From: %s\r\nSubject: Hi\r\n\r\nPlease come"
SILENT: Sequence[tuple[str, dict[str, Any]]] = [
    ("a list", {"message": invite(List_Id="<l.example.com>")}),
    ("returned mail", {"message": invite(), "sender": ""}),
    ("a program", {"message": invite(sender="no-reply@example.com")}),
    ("itself", {"message": invite(sender=BOT)}),
    # By what one program reads of it an address, by another several, or none.
    ("a strange address", {"message": HEAD % b'"eve@evil.example,x"@example.com'}),
    ("a stranger address", {"message": HEAD % b".%:@example.com"}),
    ("a spoofed sender", {"message": invite(sender="eve@evil.example")}),
    ("an answer", {"message": mail(calendar(event(), method="REPLY"), method="REPLY")}),
]


@pytest.mark.parametrize("what", [case for _, case in SILENT], ids=[name for name, _ in SILENT])
async def test_nobody_is_answered_who_should_not_be(worker: Worker, what: dict[str, Any]) -> None:
    worker.result = {"accepted": False, "ignoredReason": "no_meeting_url", "message": "No."}
    await worker.send(**what)
    await worker.poster.drain()
    assert worker.sent == []


async def test_one_person_gets_a_few_answers_an_hour(tmp_path: Path) -> None:
    worker = Worker(tmp_path, answers=1)
    replies = Replies(worker, worker.settings, worker.clock)
    received = Received(b"", BOT, "ada@example.com", PROVEN)

    told = Mail(
        None, "ada@example.com", "x", automatic=False, listed=False, refusal=unreadable("x")
    )
    no_outcomes: list[Outcome] = []
    for _ in range(3):
        await replies.answer(told, received, no_outcomes)
    assert len(worker.sent) == 1
    worker.clock.advance(3_601)
    await replies.answer(told, received, no_outcomes)
    assert len(worker.sent) == 2


async def test_a_mail_that_the_api_never_takes_does_not_slow_down_the_others(
    worker: Worker,
) -> None:
    """It waits longer each time; they do not."""
    await worker.send(invite())
    worker.status = 500
    task = asyncio.create_task(worker.poster.run())
    try:
        await asyncio.wait_for(_advancing(worker, lambda: worker.clock.monotonic() > 900), 20)
        tried = len(worker.posted)
        assert 6 < tried < 14
        worker.status = 202
        await worker.send(mail(calendar(event(uid="behind"))))
        before = worker.clock.monotonic()
        await asyncio.wait_for(_advancing(worker, lambda: len(worker.posted) > tried), 10)
        assert worker.clock.monotonic() - before < 10
        assert worker.posted[-1]["uid"] == "behind"
        await asyncio.wait_for(_advancing(worker, lambda: not worker.spool.names()), 10)
        assert not task.done()
    finally:
        task.cancel()


async def test_an_answer_that_cannot_be_written_keeps_back_no_mail(worker: Worker) -> None:
    class Failing:
        async def answer(self, *_: object) -> None:
            raise IndexError

    worker.poster._answers = Failing()
    await worker.send(invite())
    assert await worker.poster.drain() == 1
    assert worker.spool.names() == []


async def test_the_poster_goes_on_when_the_api_is_back(worker: Worker) -> None:
    await worker.send(invite())
    worker.status = 503
    task = asyncio.create_task(worker.poster.run())
    try:
        await asyncio.wait_for(_until(lambda: worker.posted), 10)
        worker.status = 202
        await asyncio.wait_for(_advancing(worker, lambda: not worker.spool.names()), 10)
    finally:
        task.cancel()


async def _until(done: Any) -> None:
    while not done():
        await asyncio.sleep(0.01)


async def _advancing(worker: Worker, done: Any) -> None:
    while not done():
        worker.clock.advance(1)
        await asyncio.sleep(0.01)


def test_names_can_be_away() -> None:
    assert Names().look_up("x", "TXT") == []

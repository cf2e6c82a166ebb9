"""The poller on a real IMAP server, a program of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError
from pydantic import SecretStr

from core.errors import Unavailable
from core.invites.settings import IntakeSettings
from intake.imap import Poller, trusted_results
from intake.spool import Spool
from tests.support.invites import calendar, event
from tests.support.mails import BOT, mail, names_of, signed
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


def put(port: int, raw: bytes) -> None:
    with IMAPClient("127.0.0.1", port=port, ssl=False, timeout=10) as client:
        client.login("demouser", PASSWORD)
        client.select_folder("INBOX")
        # What the server ships with is not ours.
        client.add_flags(client.search(["UNSEEN"]), [b"\\Seen"])
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
    return Poller(settings, Spool(folder, most=10), names_of())


def test_new_mails_are_kept_once_with_what_proves_them(server: int, tmp_path: Path) -> None:
    put(server, signed(RAW))
    one = poller(server, tmp_path)
    assert one.poll() == 1
    assert one.poll() == 0
    (name,) = one.spool.names()
    kept = one.spool.get(name)
    assert (kept.recipient, kept.envelope_from) == (BOT, "ada@example.com")
    assert (kept.verdicts.dkim, kept.verdicts.aligned_domain) == ("pass", "example.com")


def test_spf_is_what_our_own_server_noted(server: int, tmp_path: Path) -> None:
    note = b"Authentication-Results: mx.meetbot.example; spf=pass smtp.mailfrom=ada@example.com\r\n"
    put(server, note + RAW)
    one = poller(server, tmp_path)
    one.poll()
    (name,) = one.spool.names()
    assert one.spool.get(name).verdicts.aligned_domain == "example.com"


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

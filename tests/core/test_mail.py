"""Mails reach a real server, or the operator is told why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from core.errors import Unavailable
from core.mail import LogMailer, NoMailer, SmtpMailer, create_mailer
from core.settings import MailSettings
from tests.support.mailbox import Mailbox, running_mailbox

pytestmark = [
    pytest.mark.integration,
    # The server is asked to take passwords without encryption, on loopback.
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
]


@pytest.fixture
def inbox() -> Iterator[tuple[Mailbox, MailSettings]]:
    with running_mailbox("me", "secret") as mailbox:
        yield (
            mailbox,
            MailSettings(
                host="127.0.0.1",
                port=mailbox.port,
                user="me",
                password=SecretStr("secret"),
                sender="meetbot <hello@meetbot.example>",
                security="none",
                timeout_seconds=5,
            ),
        )


async def test_a_mail_arrives_as_it_was_written(inbox: tuple[Mailbox, MailSettings]) -> None:
    received, settings = inbox
    await SmtpMailer(settings).send("ada@example.com", "Your login link", "Zum Login: äöü\n")
    sender, recipients, mail = received.mails[0]
    assert (sender, recipients) == ("hello@meetbot.example", ["ada@example.com"])
    assert mail["Subject"] == "Your login link"
    assert mail["Message-ID"]
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == "Zum Login: äöü\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"password": SecretStr("wrong")},
        {"port": 1},
        # A server that offers no encryption gets nothing, rather than all in plain text.
        {"security": "starttls"},
        {"security": "tls"},
    ],
    ids=["password", "nobody", "no-starttls", "no-tls"],
)
async def test_a_mail_that_is_not_taken_is_an_error(
    inbox: tuple[Mailbox, MailSettings], changes: dict[str, Any]
) -> None:
    received, settings = inbox
    with pytest.raises(Unavailable, match="mail server"):
        await SmtpMailer(settings.model_copy(update=changes)).send("a@example.com", "s", "t")
    assert received.mails == []


async def test_without_a_server_links_are_shown_in_development_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await LogMailer().send("a@example.com", "s", "the link")
    assert "the link" in caplog.text
    caplog.clear()
    with pytest.raises(Unavailable, match="MEETBOT_MAIL__HOST"):
        await NoMailer().send("a@example.com", "s", "the link")
    assert "the link" not in caplog.text


def test_the_settings_choose_who_sends() -> None:
    assert isinstance(create_mailer(MailSettings(host="h"), links_in_log=True), SmtpMailer)
    assert isinstance(create_mailer(MailSettings(), links_in_log=True), LogMailer)
    assert isinstance(create_mailer(MailSettings(), links_in_log=False), NoMailer)

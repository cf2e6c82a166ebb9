"""Log lines: what they are about, in both formats, and what never stands in them."""

from __future__ import annotations

import json
import logging

import pytest

from core.logs import about, configure_logging, hidden
from core.settings import LogSettings

pytestmark = pytest.mark.unit
log = logging.getLogger("tests.logs")


def test_a_json_line_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    with about(request_id="req_1"), about(job_id="job_1"):
        log.warning("%d bots", 2)
    log.info("after")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("timestamp")
    assert first == {
        "level": "WARNING",
        "logger": "tests.logs",
        "message": "2 bots",
        "request_id": "req_1",
        "job_id": "job_1",
    }
    assert "request_id" not in second


def test_an_exception_is_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    log.error("failed", exc_info=ValueError("no"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: no" in json.loads(line)["exc_info"]


def test_a_text_line_ends_with_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(level="WARNING"))
    with about(job_id="job_1"):
        log.info("too little")
        log.warning("enough")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING tests.logs: enough job_id=job_1")


@pytest.mark.parametrize("form", ["text", "json"])
def test_credentials_are_blotted_out(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """CV-15: the last line of defence, also in what an exception says."""
    configure_logging(LogSettings.model_validate({"format": form}))
    key = "mb_live_" + "a" * 24
    for secret in (key, "whsec_x-Y_9", "mb_bot_abc.def", "sk_test_12", "Bearer Zz9"):
        log.warning("sent %s", secret, exc_info=ValueError(f"refused {secret}"))
    written = capsys.readouterr().err
    # In the message and in the exception.
    assert written.count("[hidden]") == 10
    for part in ("aaaa", "x-Y_9", "abc.def", "k_test_1", "Zz9"):
        assert part not in written


def test_ids_and_names_of_settings_are_no_credentials() -> None:
    for plain in ("job_01HXY1AB7M2QNTWA9YQRH5JEP6", "key_01HXY1AB", "MEETBOT_API_KEY", "mb_live_…"):
        assert hidden(plain) == plain


def test_commands_of_mail_connections_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """CV-15: aiosmtpd would log who mails whom, a line for each command."""
    configure_logging()
    logging.getLogger("mail.log").info("%r >> %r", ("127.0.0.1", 1), b"MAIL FROM:<ann@example.com>")
    assert capsys.readouterr().err == ""

"""Mails of all kinds, and what is in them; nothing of it may fail or hang (CAL-01, CAL-03)."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.invites.reading import read_calendar, recurrence_of
from core.invites.refusals import Reason
from intake.mail import TNEF_SIGNATURE, read_mail
from intake.tnef import MOST_ATTRIBUTES
from tests.support.invites import MEET, calendar, event
from tests.support.mails import mail
from tests.support.outlook import APPOINTMENT, global_id, meeting_request, tnef, winmail

pytestmark = pytest.mark.unit

TEXT = calendar(event())


def uids(raw: bytes) -> list[str]:
    return [invite.uid for invite in read_mail(raw).invites]


def reason(raw: bytes) -> Reason | None:
    refusal = read_mail(raw).refusal
    return refusal.reason if refusal else None


def test_an_invite_that_is_shown_and_attached_is_one() -> None:
    read = read_mail(mail(TEXT).as_bytes())
    assert [(one.uid, one.method) for one in read.invites] == [("one@example.com", "REQUEST")]
    assert (read.sender, read.message_id) == ("ada@example.com", "<one@example.com>")
    assert not read.automatic
    assert not read.listed


def test_events_of_one_mail_are_invites_of_their_own() -> None:
    assert uids(mail(calendar(event(uid="a"), event(uid="b"))).as_bytes()) == ["a", "b"]


def test_a_forwarded_invite_counts_for_who_forwards_it() -> None:
    outer = EmailMessage()
    outer["From"] = "Bob <bob@example.com>"
    outer.set_content("See below.")
    outer.add_attachment(mail(TEXT))
    read = read_mail(outer.as_bytes())
    assert (read.sender, [one.uid for one in read.invites]) == (
        "bob@example.com",
        ["one@example.com"],
    )


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-15", "utf-16", "windows-1252", "x-nobody"])
def test_character_sets_are_read_or_guessed(charset: str) -> None:
    text = calendar(event("COMMENT:Grüße"))
    known = charset if charset != "x-nobody" else "cp1252"
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content(text.encode(known), "text", "calendar", cte="base64")
    message.set_param("charset", charset)
    (invite,) = read_mail(message.as_bytes()).invites
    assert "Grüße" in invite.text


def test_a_calendar_that_is_only_a_file_is_found_by_its_name() -> None:
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content("Hello")
    message.add_attachment(TEXT.encode(), "application", "octet-stream", filename="Meeting.ICS")
    assert uids(message.as_bytes()) == ["one@example.com"]


def test_a_calendar_in_outlooks_envelope_is_found() -> None:
    rendering = struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0)
    data = tnef(
        (2, 0x00069002, rendering), (2, 0x00018010, b"invite.ics\0"), (2, 0x0006800F, TEXT.encode())
    )
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content("Hello")
    message.add_attachment(data, "application", "ms-tnef", filename="winmail.dat")
    assert uids(message.as_bytes()) == ["one@example.com"]


def in_outlooks_envelope(data: bytes) -> bytes:
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content("Hello")
    message.add_attachment(data, "application", "ms-tnef", filename="winmail.dat")
    return message.as_bytes()


NINE = datetime(2026, 5, 20, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("IPM.Schedule.Meeting.Request", "REQUEST"), ("IPM.Microsoft Schedule.MtgCncl", "CANCEL")],
)
def test_a_meeting_in_outlooks_own_form_is_read(kind: str, method: str) -> None:
    """Properties in place of a calendar; zeros at the end of an id count."""
    data = meeting_request(NINE, NINE + HOUR, link=MEET, uid=b"\x01\x00\x00\x00", kind=kind)
    (invite,) = read_mail(in_outlooks_envelope(data)).invites
    assert invite.method == method
    assert invite.uid == global_id(b"\x01\x00\x00\x00").hex().upper()
    (found,) = read_calendar(invite.text).series
    (one,) = found.events
    assert (one["DTSTART"].dt, one["DTEND"].dt, one["SEQUENCE"]) == (NINE, NINE + HOUR, 2)
    assert MEET in one["DESCRIPTION"]
    assert one["ORGANIZER"] == "mailto:ada@example.com"


def test_a_meeting_that_came_from_another_calendar_keeps_its_id() -> None:
    data = meeting_request(NINE, NINE + HOUR, link=MEET, uid=b"vCal-Uid\x01\0\0\0one@example.com\0")
    assert uids(in_outlooks_envelope(data)) == ["one@example.com"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            meeting_request(
                NINE, NINE + HOUR, link=MEET, uid=b"1", more=[(APPOINTMENT, 0x8223, True)]
            ),
            Reason.UNSUPPORTED,
        ),
        (winmail("IPM.Schedule.Meeting.Request", [(0x0037, "When?")]), Reason.UNREADABLE),
        (winmail("IPM.Note", [(0x0037, "A letter")]), Reason.NO_INVITE),
        (winmail("IPM.Schedule.Meeting.Resp.Pos", [(0x0037, "Yes")]), Reason.NO_INVITE),
    ],
    ids=["a series", "no time", "a letter", "an answer"],
)
def test_what_outlooks_own_form_does_not_say_is_refused_in_words(data: bytes, why: Reason) -> None:
    assert reason(in_outlooks_envelope(data)) is why


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_outlooks_own_form_may_be_damaged_anywhere(byte: int) -> None:
    data = meeting_request(NINE, NINE + HOUR, link=MEET, uid=b"1")
    answers = []
    for at in range(len(TNEF_SIGNATURE), len(data)):
        read = read_mail(in_outlooks_envelope(data[:at] + bytes([byte]) + data[at + 1 :]))
        answers.append(read.refusal.reason if read.refusal else None)
        assert bool(read.invites) is (read.refusal is None)
    assert {None, Reason.UNREADABLE} <= set(answers)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "attributes",
    [
        [(1, 0x00069003, struct.pack("<I", 0xFFFFFFFF))],
        [(1, 0x00069003, struct.pack("<IHHI", 1, 0x1002, 0x0037, 0xFFFFFFFF))],
        [(1, 0x00069003, struct.pack("<IHHI", 1, 0x001F, 0x0037, 0xFFFFFFFF))],
        [(1, 0x0006800C, b"x")] * (MOST_ATTRIBUTES + 1),
    ],
    ids=["properties", "values of one size", "texts", "attributes"],
)
def test_counts_that_no_program_writes_do_not_keep_the_reader_busy(
    attributes: list[tuple[int, int, bytes]],
) -> None:
    assert reason(in_outlooks_envelope(tnef(*attributes))) is Reason.UNSUPPORTED


@pytest.mark.timeout(20)
def test_recipients_in_outlooks_own_form_are_not_even_looked_at() -> None:
    data = meeting_request(NINE, NINE + HOUR, link=MEET, uid=b"1")
    endless = tnef((1, 0x00069004, struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF)))
    message = data[:6] + endless[6:] + data[6:]
    assert len(read_mail(in_outlooks_envelope(message)).invites) == 1


def test_a_damaged_envelope_does_not_hide_the_calendar_beside_it() -> None:
    message = mail(TEXT)
    damaged = TNEF_SIGNATURE + b"\xff" * 200
    message.add_attachment(damaged, "application", "ms-tnef", filename="winmail.dat")
    assert uids(message.as_bytes()) == ["one@example.com"]


@pytest.mark.parametrize(
    ("method", "read"), [("REQUEST", "REQUEST"), ("PUBLISH", "REQUEST"), ("CANCEL", "CANCEL")]
)
def test_methods_that_are_about_a_meeting_are_taken(method: str, read: str) -> None:
    text = calendar(event(), method=method)
    assert [one.method for one in read_mail(mail(text, method=method).as_bytes()).invites] == [read]


def test_the_method_is_a_property_and_not_a_word_in_the_text() -> None:
    """A calendar without one has the method of its part, whatever people meet about."""
    text = calendar(event("DESCRIPTION:Which method do we take?"), method=None)
    assert [one.method for one in read_mail(mail(text, method="CANCEL").as_bytes()).invites] == [
        "CANCEL"
    ]


def test_a_mail_that_adds_a_meeting_to_a_series_does_not_replace_it() -> None:
    """RFC 5546, 3.2.4."""
    raw = mail(calendar(event(), method="ADD"), method="ADD").as_bytes()
    (invite,) = read_mail(raw).invites
    (one,) = read_calendar(invite.text).series[0].events
    assert (invite.method, recurrence_of(one)) == ("REQUEST", "20260520T090000Z")


def test_a_line_may_break_within_a_character() -> None:
    text = calendar(event("COMMENT:Grüße")).encode()
    cut = text.index("ü".encode()) + 1
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content(text[:cut] + b"\r\n " + text[cut:], "text", "calendar", cte="base64")
    message.set_param("charset", "utf-8")
    (invite,) = read_mail(message.as_bytes()).invites
    assert "Grüße" in invite.text


@pytest.mark.parametrize("method", ["REPLY", "COUNTER", "REFRESH", "DECLINECOUNTER"])
def test_answers_to_other_peoples_invites_are_none(method: str) -> None:
    text = calendar(event(), method=method)
    assert reason(mail(text, method=method).as_bytes()) is Reason.ONLY_AN_ANSWER


def test_programs_and_lists_are_known() -> None:
    assert read_mail(mail(TEXT, Auto_Submitted="auto-replied").as_bytes()).automatic
    assert not read_mail(mail(TEXT, Auto_Submitted="no").as_bytes()).automatic
    assert read_mail(mail(TEXT, List_Id="<x.example.com>").as_bytes()).listed
    assert read_mail(mail(TEXT, Precedence="bulk").as_bytes()).listed


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"From: a@b.example\r\n\r\nhello",
        b"\x00\xff" * 500,
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 5_000,
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" * 2_000,
        b"Content-Type: message/rfc822\r\n\r\n" * 2_000,
        b"Content-Type: text/calendar\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Type: application/ms-tnef\r\n\r\n" + TNEF_SIGNATURE + b"\xff" * 200,
        b"From: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n\r\n",
    ],
    ids=range(9),
)
def test_what_is_no_invite_is_refused_in_words(raw: bytes) -> None:
    assert reason(raw) in {Reason.NO_INVITE, Reason.UNREADABLE, Reason.UNSUPPORTED}


@pytest.mark.parametrize(
    "head",
    [
        "From: ada@example.com\r\nFrom: eve@evil.example",
        "From: ada@example.com, eve@evil.example",
        "From: nobody",
        "X-From: ada@example.com",
    ],
)
def test_a_mail_from_several_people_is_from_nobody(head: str) -> None:
    assert read_mail(f"{head}\r\n\r\n".encode()).sender is None


def test_headers_do_not_break_out_of_their_line() -> None:
    head = "Subject: =?utf-8?q?Hi=0D=0ABcc:_eve@evil.example?=\r\nFrom: a@b.example\r\n\r\n"
    assert "\n" not in read_mail(head.encode()).subject


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mutilated_mails_are_read_or_refused(data: st.DataObject) -> None:
    """The bench does this a hundred thousand times."""
    raw = bytearray(mail(TEXT).as_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
        if not raw:
            break
    read = read_mail(bytes(raw))
    assert bool(read.invites) != bool(read.refusal)

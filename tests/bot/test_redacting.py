"""Evidence tells nobody a password, a token or what somebody typed (CV-15)."""

from __future__ import annotations

import time

import pytest

from bot.redacting import POLICY, redacted_address, redacted_document, secrets_in

pytestmark = pytest.mark.unit

LIMIT = 100_000


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://zoom.us/j/123", "https://zoom.us/j/123"),
        ("https://zoom.us/j/123?pwd=abc.1", "https://zoom.us/j/123?pwd=[redacted]"),
        (
            "https://ada:hidden@x.example/a?b=1&c=two#d=3",
            "https://x.example/a?b=[redacted]&c=[redacted]#d=[redacted]",
        ),
        ("https://x.example/a#bareToken", "https://x.example/a#[redacted]"),
        ("https://x.example/a?", "https://x.example/a?"),
        ("about:blank", "about:blank"),
    ],
)
def test_an_address_keeps_the_names_of_its_parameters_only(address: str, shown: str) -> None:
    assert redacted_address(address) == shown


def test_secrets_of_an_address_are_known_by_their_names() -> None:
    addresses = ("https://x.example/j?pwd=s3cret&lang=en", "https://y.example/r#jwt=eyJ0")
    assert secrets_in(addresses) == {"s3cret", "eyJ0"}


@pytest.mark.parametrize(
    "part",
    [
        "<script>let token = 'tell-nobody'</script>",
        '<script data-x="a>b">tell-nobody</SCRIPT>',
        "<script>tell-nobody",
        "<p>\u0130\u0130</p><script>tell-nobody</script>",
        "<style>.a{content:'tell-nobody'}</style>",
        '<input type="hidden" name="csrf" value="tell-nobody">',
        '<INPUT data-a="x" VALUE="tell-nobody">',
        "<textarea>tell-nobody</textarea>",
        '<meta name="csrf-token" content="tell-nobody">',
        '<a href="/next?state=tell-nobody&amp;x=1">on</a>',
        '<img src="https://x.example/p.png?sig=tell-nobody">',
        "<p>see https://x.example/a?k=tell-nobody now</p>",
        "<button onclick=\"go('tell-nobody')\">Go</button>",
        '<iframe srcdoc="<p>tell-nobody</p>"></iframe>',
        '<link nonce="tell-nobody" rel="x">',
    ],
)
def test_a_document_loses_what_opens_doors(part: str) -> None:
    document = f"<html><head></head><body><h1>Hello</h1>{part}</body></html>"
    shown = redacted_document(document, (), LIMIT)
    assert "tell-nobody" not in shown
    assert "<h1>Hello</h1>" in shown


def test_a_document_keeps_what_anchors_are_made_of() -> None:
    body = (
        '<button id="join" class="a b" data-tid="prejoin" aria-label="Join now" disabled>Join'
        "</button><p>You can't join this call</p>"
    )
    shown = redacted_document(f"<html><head></head><body>{body}</body></html>", (), LIMIT)
    assert body in shown
    assert shown.index(POLICY) == len("<html><head>")


def test_secrets_go_wherever_they_stand() -> None:
    shown = redacted_document("<p>Passcode: s3cret, room ab</p>", {"s3cret", "ab"}, LIMIT)
    assert "s3cret" not in shown
    assert "room ab" in shown, "too short to be told from words"


@pytest.mark.parametrize("piece", ["<script", "<a b=", '<a b="', "<a b ", "<", 'x="', "https://?="])
def test_a_hostile_document_takes_no_time(piece: str) -> None:
    """One pass, also over what never ends; a quadratic one would take hours."""
    document = piece * (1_000_000 // len(piece))
    began = time.process_time()
    assert len(redacted_document(document, {"secret"}, LIMIT)) <= LIMIT
    assert time.process_time() - began < 20

"""Detection of the platform from a meeting URL (PL-01, API-50, API-52, D13)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from core.errors import BadInput
from core.platforms.registry import (
    NAMEABLE,
    PLATFORMS,
    DetectionContext,
    detect,
    parse_platform,
    spec_of,
)
from core.platforms.wrapping import unwrap
from core.settings import Settings

pytestmark = pytest.mark.unit

TEST_KEY = DetectionContext(sandbox_origin="http://127.0.0.1:8081", livemode=False)
LIVE_KEY = DetectionContext(sandbox_origin="http://127.0.0.1:8081", livemode=True)

EXAMPLES = [(spec.slug, url, room) for spec in PLATFORMS for url, room in spec.examples.items()]
NEAR_MISSES = [url for spec in PLATFORMS for url in spec.near_misses]
OPENED = [(spec.slug, url, web) for spec in PLATFORMS for url, web in spec.opened.items()]


def encoded(url: str) -> str:
    return quote(url, safe="")


def by_proofpoint_2(url: str) -> str:
    """Its second form: percent signs are dashes, and slashes underscores."""
    kept = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.")
    parts = [
        chr(byte) if chr(byte) in kept else "_" if byte == ord("/") else f"-{byte:02X}"
        for byte in url.encode()
    ]
    return f"https://urldefense.proofpoint.com/v2/url?u={''.join(parts)}&d=DwMFaQ&c=x"


def by_proofpoint_3(url: str) -> str:
    """Its third form: what is unusual is replaced by asterisks and told at the end."""
    unusual = re.compile(r"[%+#\[\]]")
    replaced = base64.urlsafe_b64encode("".join(unusual.findall(url)).encode()).decode()
    link = unusual.sub("*", url)
    return f"https://urldefense.com/v3/__{link}__;{replaced.rstrip('=')}!!ACWV5N9M2!INUzIF25-c$ "


# How links come in mails and calendars.
WRAPPINGS: list[Callable[[str], str]] = [
    lambda url: f"  {url} ",
    lambda url: f"<{url}>",
    lambda url: f"({url}).",
    lambda url: f"{url}>",
    lambda url: f"\u200b{url}\u2060\u200b",
    lambda url: f"**{url}**",
    lambda url: f"\u00ab{url}\u00bb\u2026",
    lambda url: f"{{{url}}},",
    by_proofpoint_2,
    by_proofpoint_3,
    lambda url: by_proofpoint_3(
        f"https://eur01.safelinks.protection.outlook.com/?url={encoded(url)}&data=05"
    ),
    lambda url: f"https://linkprotect.cudasvc.com/url?a={encoded(url)}&c=E,1,x",
    lambda url: f"https://gcc02.safelinks.protection.office365.us/?url={encoded(url)}&data=05",
    lambda url: encoded(url),
    lambda url: encoded(encoded(encoded(url))),
    lambda url: f"https://www.google.com/url?q={encoded(url)}&sa=D&source=calendar",
    lambda url: f"https://eur01.safelinks.protection.outlook.com/?url={encoded(url)}&data=05",
    lambda url: (
        f"https://www.google.com/url?q={encoded(f'https://www.google.com/url?q={encoded(url)}')}"
    ),
]


def refused(url: str, **options: object) -> tuple[tuple[str | int, ...], str]:
    with pytest.raises(BadInput) as caught:
        detect(url, context=options.pop("context", TEST_KEY), **options)  # type: ignore[arg-type]
    (issue,) = caught.value.issues
    assert len(issue.message) > 20
    return issue.path, issue.code


@pytest.mark.parametrize(("slug", "url", "room"), EXAMPLES)
def test_every_example_is_claimed_by_its_owner(slug: str, url: str, room: str) -> None:
    found = detect(url, context=TEST_KEY)
    assert (found.platform, found.room) == (slug, room)


@pytest.mark.parametrize(("slug", "url", "opened"), OPENED)
def test_the_web_clients_own_address_is_opened(slug: str, url: str, opened: str) -> None:
    found = detect(url, context=TEST_KEY)
    assert (found.platform, found.url) == (slug, opened)


@pytest.mark.parametrize(("slug", "url", "opened"), OPENED)
def test_what_is_opened_is_opened_as_it_is(slug: str, url: str, opened: str) -> None:
    """A job that is made of another one's address leads to the same page."""
    assert detect(opened, context=TEST_KEY).url == opened


@pytest.mark.parametrize("wrap", WRAPPINGS)
@pytest.mark.parametrize(("slug", "url"), [(slug, url) for slug, url, _ in EXAMPLES])
def test_wrapped_links_are_unwrapped(slug: str, url: str, wrap: Callable[[str], str]) -> None:
    wrapped, plain = detect(wrap(url), context=TEST_KEY), detect(url, context=TEST_KEY)
    assert wrapped == plain


@pytest.mark.parametrize("wrap", WRAPPINGS)
@pytest.mark.parametrize("url", NEAR_MISSES)
def test_no_wrapping_makes_a_near_miss_a_meeting(url: str, wrap: Callable[[str], str]) -> None:
    assert refused(wrap(url))[0] == ("meetingUrl",)


def test_a_redirect_to_nowhere_is_no_meeting() -> None:
    assert refused("https://www.google.com/url?x=1")[0] == ("meetingUrl",)
    other = quote("https://meet.google.com/abc-defg-hij", safe="")
    assert refused(f"https://google.com.evil.example/url?q={other}")[0] == ("meetingUrl",)
    assert refused(f"https://www.google.com/search?q={other}")[0] == ("meetingUrl",)


def test_runs_in_proofpoints_links_are_put_back() -> None:
    """Two asterisks and a letter stand for as many characters."""
    link = "https://urldefense.com/v3/__https://meet.jit.si/a**Bc*d__;JSUlJQ!!x!y$"
    assert unwrap(link) == "https://meet.jit.si/a%%%c%d"
    link = "https://urldefense.us/v3/__https://meet.jit.si/cs101__;!!x!y$"
    assert detect(link, context=TEST_KEY).room == "cs101"


@pytest.mark.parametrize(
    "link",
    [
        "https://urldefense.com/v3/__https://meet.jit.si/cs101",
        "https://urldefense.proofpoint.com/v2/url?d=x",
        "https://urldefense.com.evil.example/v3/__https://meet.jit.si/cs101__;!!x!y$",
    ],
)
def test_a_damaged_link_of_proofpoint_is_no_meeting(link: str) -> None:
    assert refused(link)[0] == ("meetingUrl",)


def test_a_context_in_braces_stays_whole() -> None:
    url = "https://teams.microsoft.com/l/meetup-join/19:m@thread.v2/0?context={%22Tid%22:%22t%22}"
    assert "%7B%22Tid%22%3A%22t%22%7D" in detect(url, context=TEST_KEY).url


def test_a_bracket_that_the_link_opens_stays() -> None:
    assert detect("https://meet.jit.si/a(b)", context=TEST_KEY).room == "a(b)"


@pytest.mark.parametrize("url", NEAR_MISSES)
def test_no_near_miss_is_claimed(url: str) -> None:
    assert refused(url)[0] == ("meetingUrl",)


def test_every_platform_is_registered_once() -> None:
    slugs = [spec.slug for spec in PLATFORMS]
    assert len(set(slugs)) == len(slugs) == 8
    assert all(spec_of(slug).slug == slug for slug in slugs)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "meet.google.com/abc-defg-hij",
        "http://meet.google.com/abc-defg-hij",
        "ftp://meet.google.com/abc-defg-hij",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@meet.google.com/abc-defg-hij",
        "https://zoom.us\\@evil.example/j/9123456789",
        "https://evil.example\\.zoom.us/j/9123456789",
        "https://evil.example%2f.zoom.us/j/9123456789",
        "https://zo\u043em.us/j/9123456789",
        "https://zoom.us:99999/j/9123456789",
        "https://zoom.us/j/9123456789\r\nx: y",
        "https://[::1/j/9123456789",
        "https://zoom.us/j/" + "9" * 2048,
    ],
)
def test_urls_that_are_not_meeting_urls_are_refused(url: str) -> None:
    assert refused(url)[0] == ("meetingUrl",)


def test_unknown_hosts_ask_for_the_platform() -> None:
    assert refused("https://meet.acme.example/room") == (("meetingUrl",), "unknown_platform")


def test_an_explicit_platform_wins_over_detection() -> None:
    found = detect("https://meet.acme.example/x", platform="webex", context=LIVE_KEY)
    assert (found.platform, found.room) == ("webex", None)
    found = detect("https://zoom.us/j/9123456789", platform="jitsi", context=LIVE_KEY)
    assert found.platform == "jitsi"


def test_an_explicit_platform_accepts_unusual_paths_of_its_host() -> None:
    assert detect("https://zoom.us/launch/1", platform="zoom", context=LIVE_KEY).room is None


@pytest.mark.parametrize(
    ("name", "slug", "engine"),
    [
        *((spec.slug, spec.slug, None) for spec in NAMEABLE),
        ("google_meet", "meet", None),
        ("google-meet", "meet", None),
        ("gmeet", "meet", None),
        ("msteams", "teams", None),
        ("microsoft_teams", "teams", None),
        ("zoom_web", "zoom", "web"),
        ("zoom_sdk", "zoom", "sdk"),
    ],
)
def test_platform_names_and_aliases(name: str, slug: str, engine: str | None) -> None:
    assert parse_platform(name) == (slug, engine)


@pytest.mark.parametrize("name", ["sandbox", "Zoom", "", "skype"])
def test_other_platform_names_are_refused(name: str) -> None:
    assert refused("https://zoom.us/j/9123456789", platform=name)[0] == ("platform",)


def test_sandbox_rooms_are_for_test_keys_only() -> None:
    url = "http://127.0.0.1:8081/r/room1?t=x"
    assert detect(url, context=TEST_KEY).platform == "sandbox"
    assert refused(url, context=LIVE_KEY) == (("meetingUrl",), "sandbox_needs_test_key")


def test_the_sandbox_origin_comes_before_an_explicit_platform() -> None:
    found = detect("http://127.0.0.1:8081/r/room1", platform="zoom", context=TEST_KEY)
    assert found.platform == "sandbox"


def test_http_is_for_trusted_origins_only() -> None:
    trusted = DetectionContext(trusted_origins=("http://127.0.0.1:9000",))
    url = "http://127.0.0.1:9000/room"
    assert detect(url, platform="jitsi", context=trusted).url.startswith(f"{url}#")
    assert refused(url, platform="jitsi", context=LIVE_KEY)[1] == "invalid_url"
    assert refused("http://127.0.0.1:9001/x", platform="jitsi", context=trusted)[1] == "invalid_url"


def test_a_discord_url_needs_discord_and_discord_needs_its_url() -> None:
    url = "discord://123456789012345678/223456789012345678"
    assert detect(url, context=LIVE_KEY).platform == "discord"
    assert refused(url, platform="zoom")[0] == ("meetingUrl",)
    assert refused("https://zoom.us/j/9123456789", platform="discord")[0] == ("meetingUrl",)


def test_a_jitsi_server_of_the_job_replaces_the_host_and_beats_the_operators() -> None:
    context = DetectionContext(jitsi_server_url="https://jitsi.operator.example")
    metadata = {"jitsi": {"serverUrl": "https://jitsi.eduuni.example:8443"}}
    submitted = "https://meet.jit.si/cs101#config.x=1"
    found = detect(submitted, metadata=metadata, context=context)
    assert found.url.startswith("https://jitsi.eduuni.example:8443/cs101#config.x=1&config.")
    found = detect(submitted, context=context)
    assert found.url.startswith("https://jitsi.operator.example/cs101#config.x=1&config.")


def test_hosts_of_a_jitsi_server_are_jitsi() -> None:
    context = DetectionContext(jitsi_server_url="https://jitsi.operator.example")
    assert detect("https://jitsi.operator.example/a", context=context).platform == "jitsi"
    assert refused("https://other.example/a", context=context)[1] == "unknown_platform"
    metadata = {"jitsi": {"serverUrl": "https://other.example"}}
    assert (
        detect("https://other.example/a", metadata=metadata, context=LIVE_KEY).platform == "jitsi"
    )


@pytest.mark.parametrize("server", ["http://jitsi.example", "jitsi.example", 7, "https://"])
def test_a_jitsi_server_must_be_an_https_origin(server: object) -> None:
    path, _ = refused("https://meet.jit.si/a", metadata={"jitsi": {"serverUrl": server}})
    assert path == ("metadata", "jitsi", "serverUrl")


def test_the_operators_server_is_an_origin_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PL-41."""
    monkeypatch.setenv("JITSI_SERVER_URL", "https://jitsi.operator.example")
    assert Settings().jitsi_server_url == "https://jitsi.operator.example"
    monkeypatch.setenv("JITSI_SERVER_URL", "https://jitsi.operator.example/path")
    with pytest.raises(ValidationError, match="origin"):
        Settings()

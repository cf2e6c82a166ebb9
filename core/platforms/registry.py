"""Which platform a meeting URL belongs to (PL-01, API-50, API-52)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from core.errors import BadInput, Issue
from core.network.addresses import is_trusted, origin_of
from core.platforms.discord import DISCORD
from core.platforms.jitsi import JITSI
from core.platforms.meet import MEET
from core.platforms.sandbox import SANDBOX
from core.platforms.spec import PlatformSpec, Slug
from core.platforms.teams import TEAMS
from core.platforms.webex import WEBEX
from core.platforms.whereby import WHEREBY
from core.platforms.wrapping import unwrap
from core.platforms.zoom import ZOOM

# The order of detection.
PLATFORMS: Final[tuple[PlatformSpec, ...]] = (
    SANDBOX,
    DISCORD,
    MEET,
    TEAMS,
    ZOOM,
    WEBEX,
    WHEREBY,
    JITSI,
)
# What a request may name; sandbox rooms are known by their origin only.
NAMEABLE: Final = tuple(spec for spec in PLATFORMS if spec is not SANDBOX)

MAX_URL_LENGTH: Final = 2048
_BY_SLUG: Final = {spec.slug: spec for spec in PLATFORMS}
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
# Browsers read a backslash as a slash and drop control characters, so hosts would differ.
_UNSAFE: Final = re.compile(r"[\s\\\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Detected:
    """`url` is what a bot opens: the web client's address of what was submitted, unwrapped, and on
    another server where a Jitsi job or the operator says so.

    `engine` is set where the request asked for one by name (`zoom_sdk`). `room` names the
    meeting on its platform, None when an explicit platform was given for an unusual URL.
    """

    platform: Slug
    url: str
    room: str | None
    engine: str | None = None


@dataclass(frozen=True)
class DetectionContext:
    """What detection must know about the deployment and the caller's key."""

    sandbox_origin: str | None = None
    livemode: bool = True
    trusted_origins: Sequence[str] = ()
    jitsi_server_url: str | None = None


def spec_of(slug: str) -> PlatformSpec:
    """The spec of a platform by its slug; raises KeyError for an unknown one."""
    return _BY_SLUG[slug]  # type: ignore[index]


def parse_platform(name: str) -> tuple[Slug, str | None]:
    """The platform and engine that a request's `platform` names, aliases included (API-52).

    Raises:
        BadInput: no such platform.
    """
    for spec in NAMEABLE:
        if name == spec.slug:
            return spec.slug, None
        if name in spec.aliases:
            return spec.slug, spec.aliases[name]
    known = ", ".join(sorted(spec.slug for spec in NAMEABLE))
    raise _bad("platform", "unknown_platform", f"Unknown platform; use one of {known}.")


def detect(
    url: str,
    *,
    platform: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    context: DetectionContext,
) -> Detected:
    """The platform of a meeting URL; an explicit `platform` wins over what the URL looks like.

    Raises:
        BadInput: with one issue on `meetingUrl` or `platform` that says what to do.
    """
    _check_length(url)
    url = unwrap(url)
    parts = _split(url)
    explicit = parse_platform(platform) if platform is not None else None
    if _in_sandbox(url, context):
        return _sandbox(url, parts, context)
    _check_scheme(url, parts, context)
    server = _job_server(metadata, context)
    slug, engine = explicit or (_detect(parts, server, context), None)
    spec = spec_of(slug)
    if (parts.scheme == DISCORD.scheme) != (spec is DISCORD):
        raise _bad("meetingUrl", "invalid_meeting_url", f"For {spec.title} use {spec.forms}.")
    room = spec.room(parts)
    if room is None and explicit is None:
        raise _bad(
            "meetingUrl",
            "invalid_meeting_url",
            f"This is a {spec.title} address, but not that of a meeting. Use {spec.forms}; if the "
            f'link really is a meeting, add "platform": "{slug}".',
        )
    if spec is DISCORD and room is None:
        raise _bad("meetingUrl", "invalid_meeting_url", f"For {spec.title} use {spec.forms}.")
    server = server or context.jitsi_server_url
    if slug == "jitsi" and server:
        parts = _on_server(parts, server)
    opened = url if room is None and not server else spec.web_url(parts)
    return Detected(platform=slug, url=opened, room=room, engine=engine)


def _check_length(url: str) -> None:
    if not 1 <= len(url.strip()) <= MAX_URL_LENGTH:
        message = f"meetingUrl must have 1 to {MAX_URL_LENGTH} characters."
        raise _bad("meetingUrl", "invalid_url", message)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or _UNSAFE.search(url):
        message = "meetingUrl must be an absolute URL such as https://meet.google.com/abc-defg-hij."
        raise _bad("meetingUrl", "invalid_url", message)
    if "@" in parts.netloc:
        message = "meetingUrl must not contain a user name or password."
        raise _bad("meetingUrl", "invalid_url", message)
    if not _HOST.fullmatch(parts.hostname or ""):
        message = "The host of meetingUrl is not valid; write international names as punycode."
        raise _bad("meetingUrl", "invalid_url", message)
    return parts


def _check_scheme(url: str, parts: SplitResult, context: DetectionContext) -> None:
    if parts.scheme in ("https", DISCORD.scheme):
        return
    if parts.scheme == "http" and is_trusted(url, context.trusted_origins):
        return
    message = "meetingUrl must start with https:// (or discord:// for Discord)."
    raise _bad("meetingUrl", "invalid_url", message)


def _in_sandbox(url: str, context: DetectionContext) -> bool:
    if context.sandbox_origin is None:
        return False
    return origin_of(url) == origin_of(context.sandbox_origin)


def _sandbox(url: str, parts: SplitResult, context: DetectionContext) -> Detected:
    if context.livemode:
        message = "Sandbox rooms are for test keys; use an API key that starts with mb_test_."
        raise _bad("meetingUrl", "sandbox_needs_test_key", message)
    room = SANDBOX.room(parts)
    if room is None:
        message = f"This is not the address of a sandbox room; use {SANDBOX.forms}."
        raise _bad("meetingUrl", "invalid_meeting_url", message)
    return Detected(platform="sandbox", url=url, room=room)


def _detect(parts: SplitResult, job_server: str | None, context: DetectionContext) -> Slug:
    host = (parts.hostname or "").rstrip(".")
    for spec in NAMEABLE:
        if parts.scheme == spec.scheme and spec.owns_host(host):
            return spec.slug
    if parts.scheme == DISCORD.scheme:
        return "discord"
    if job_server is not None or host == urlsplit(context.jitsi_server_url or "").hostname:
        return "jitsi"
    raise _bad(
        "meetingUrl",
        "unknown_platform",
        f"The platform of {host} is not known; add the field platform "
        f"({', '.join(sorted(spec.slug for spec in NAMEABLE))}).",
    )


def _job_server(metadata: Mapping[str, Any] | None, context: DetectionContext) -> str | None:
    """The Jitsi server that the job asks for; it beats the operator's (PL-41)."""
    jitsi = (metadata or {}).get("jitsi")
    server = jitsi.get("serverUrl") if isinstance(jitsi, Mapping) else None
    if server is None:
        return None
    origin = origin_of(server) if isinstance(server, str) else None
    secure = origin is not None and origin.startswith("https://")
    if origin is None or not (secure or is_trusted(server, context.trusted_origins)):
        message = "metadata.jitsi.serverUrl must be an https origin such as https://jitsi.example."
        raise BadInput(message, [Issue(("metadata", "jitsi", "serverUrl"), "invalid_url", message)])
    return origin


def _on_server(parts: SplitResult, server: str) -> SplitResult:
    """Another scheme, host and port; the path stays (PL-41)."""
    own = urlsplit(server)
    return parts._replace(scheme=own.scheme, netloc=own.netloc)


def _bad(field: str, code: str, message: str) -> BadInput:
    return BadInput(message, [Issue((field,), code, message)])

"""Which hosts the product may connect to on somebody else's behalf (CV-16, design.md D13, D19).

Customers choose meeting URLs, webhook targets and storage endpoints; none of them may lead into
the operator's own network. Only https and public addresses are allowed, with one exception:
origins that the operator lists exactly. Names are resolved once and the connection is made to
the addresses that were checked, so that a name cannot change its answer in between.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from core.errors import BadInput, Issue

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

RESOLVE_TIMEOUT_SECONDS: Final = 5.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PAGE_SCHEMES: Final = {"ws": "http", "wss": "https"}

# Ranges that carry an IPv4 address inside an IPv6 one, and where its bits end.
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
# Not public, and missing from the tables of the oldest Python that we run on.
_NEVER: Final = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3fff::/20"),
)
_IPV4_COMPATIBLE: Final = IPv6Network("::/96")
_UNKNOWN_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class AddressRefused(BadInput):
    """The host is not public, and its origin is not one that the operator trusts."""


class HostUnknown(BadInput):
    """The name does not exist."""


class ResolverFailed(BadInput):
    """The name could not be resolved now; it may exist."""


@dataclass(frozen=True)
class Target:
    """Where to connect: `host` for TLS and the Host header, `addresses` for the socket."""

    host: str
    port: int
    addresses: tuple[str, ...]
    trusted: bool


def is_public(text: str) -> bool:
    """Whether `text` is an address of the public internet; embedded IPv4 addresses count too."""
    try:
        address = ip_address(text.split("%", 1)[0])
    except ValueError:
        return False
    return _is_public(address)


def origin_of(url: str) -> str | None:
    """`scheme://host[:port]` in canonical form, ws as http; None when `url` has no origin."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = _PAGE_SCHEMES.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}"


def is_trusted(url: str, trusted_origins: Sequence[str]) -> bool:
    """Whether `url` lies under one of the operator's trusted origins, exactly."""
    origin = origin_of(url)
    return origin is not None and origin in {origin_of(trusted) for trusted in trusted_origins}


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of `host`, from the system's resolver.

    Raises:
        HostUnknown: the name does not exist.
        ResolverFailed: the resolver did not answer in time, or failed.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ResolverFailed(f"The name {host} was not resolved in time; try again.") from None
    except socket.gaierror as error:
        if error.errno in _UNKNOWN_NAME:
            message = f"The name {host} does not exist; check the spelling of the URL."
            raise HostUnknown(message) from None
        raise ResolverFailed(f"The name {host} could not be resolved; try again.") from None
    except (OSError, UnicodeError):
        raise HostUnknown(f"{host[:100]!r} is not a valid host name.") from None
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


async def resolve_public(
    host: str, port: int, *, trusted: bool = False, resolver: Resolve = resolve
) -> Target:
    """The addresses to connect to for `host`; all of them public unless `trusted`.

    Raises:
        AddressRefused: one of the addresses is not public. Every answer counts, since the next
            connection might take another one.
        HostUnknown, ResolverFailed: there is no answer to check.
    """
    addresses = tuple(await resolver(host, port))
    if not trusted:
        check_public(host, addresses)
    return Target(host=host, port=port, addresses=addresses, trusted=trusted)


def check_public(host: str, addresses: Sequence[str]) -> None:
    """Refuse a host with an address that is not public: the next connection might take that one.

    Raises:
        AddressRefused: so it is.
    """
    if not all(is_public(address) for address in addresses):
        raise AddressRefused(
            f"{host} is not on the public internet. Use a public host, or ask the operator to add "
            "its origin to MEETBOT_TRUSTED_ORIGINS."
        )


async def resolve_url(
    url: str, trusted_origins: Sequence[str], *, resolver: Resolve = resolve
) -> Target:
    """Check `url` and give the addresses to connect to; use them and do not resolve again.

    Raises:
        BadInput: as `check_url`.
    """
    parts = _split(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    trusted = is_trusted(url, trusted_origins)
    if parts.scheme not in ("https", "wss") and not trusted:
        raise AddressRefused(f"Use an https URL instead of {parts.scheme}://{host}.")
    return await resolve_public(host, port, trusted=trusted, resolver=resolver)


async def check_url(
    url: str,
    trusted_origins: Sequence[str],
    *,
    path: tuple[str | int, ...] = (),
    resolver: Resolve = resolve,
) -> None:
    """Refuse a customer's URL that is not https to a public address.

    A name that cannot be resolved right now passes: the check is repeated when connecting.

    Raises:
        BadInput: with one issue at `path` that says what to do.
    """
    try:
        await resolve_url(url, trusted_origins, resolver=resolver)
    except ResolverFailed:
        return
    except BadInput as error:
        raise BadInput(error.message, [Issue(path, "invalid_url", error.message)]) from error


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadInput("The URL is not valid; write it as https://host/path.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise BadInput("The URL must be absolute and start with https://.")
    if parts.username is not None or parts.password is not None:
        raise BadInput("The URL must not contain a user name or password.")
    return parts


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return _is_public(embedded)
        if address in _IPV4_COMPATIBLE or address.is_site_local:
            return False
    if any(address in network for network in _NEVER):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a translated or tunnelled IPv6 address leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None

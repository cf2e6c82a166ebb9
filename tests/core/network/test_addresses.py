"""Which addresses the product may connect to (CV-16, D13, D19)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.errors import BadInput
from core.network.addresses import (
    AddressRefused,
    HostUnknown,
    Resolve,
    ResolverFailed,
    check_url,
    is_public,
    is_trusted,
    origin_of,
    resolve,
    resolve_url,
)

pytestmark = pytest.mark.unit


def names(**answers: Sequence[str]) -> Resolve:
    async def resolver(host: str, port: int) -> Sequence[str]:
        if host not in answers:
            raise HostUnknown(f"{host} does not exist")
        return answers[host]

    return resolver


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::",
    ],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:7f00:1::",
        "localhost",
        "2130706433",
        "0177.0.0.1",
        "",
    ],
)
def test_everything_else_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Acme.example/x?y", "https://acme.example"),
        ("https://acme.example:443", "https://acme.example"),
        ("wss://acme.example/socket", "https://acme.example"),
        ("ws://127.0.0.1:8081/ws", "http://127.0.0.1:8081"),
        ("http://[::1]:80/", "http://[::1]"),
        ("data:text/html,x", None),
        ("https://", None),
        ("https://a:99999", None),
    ],
)
def test_origins(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


def test_trust_is_for_exact_origins() -> None:
    trusted = ("http://127.0.0.1:8081",)
    assert is_trusted("http://127.0.0.1:8081/r/1", trusted)
    assert is_trusted("ws://127.0.0.1:8081/ws", trusted)
    assert not is_trusted("http://127.0.0.1:8082/", trusted)
    assert not is_trusted("https://127.0.0.1:8081/", trusted)
    assert not is_trusted("http://localhost:8081/", trusted)


async def test_addresses_are_resolved_once_and_handed_out() -> None:
    resolver = names(**{"hooks.example": ["93.184.216.34", "2606:2800::1"]})
    target = await resolve_url("https://hooks.example/x", (), resolver=resolver)
    assert (target.host, target.port) == ("hooks.example", 443)
    assert target.addresses == ("93.184.216.34", "2606:2800::1")


async def test_one_private_answer_refuses_the_name() -> None:
    resolver = names(**{"rebind.example": ["93.184.216.34", "127.0.0.1"]})
    with pytest.raises(AddressRefused, match="MEETBOT_TRUSTED_ORIGINS"):
        await resolve_url("https://rebind.example/", (), resolver=resolver)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://user:pw@hooks.example/",
        "ftp://hooks.example/",
        "/relative",
        "https://",
    ],
)
async def test_customer_urls_that_are_refused_name_the_field(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        await check_url(url, (), path=("webhooks", "onFinalize"))
    (issue,) = caught.value.issues
    assert issue.path == ("webhooks", "onFinalize")


async def test_a_trusted_origin_may_be_http_and_private() -> None:
    await check_url("http://127.0.0.1:9999/hook", ("http://127.0.0.1:9999",))


async def test_a_resolver_that_fails_now_is_left_to_the_connection() -> None:
    async def broken(host: str, port: int) -> Sequence[str]:
        raise ResolverFailed("try again")

    await check_url("https://hooks.example/", (), resolver=broken)


async def test_a_name_that_cannot_be_a_host_is_unknown() -> None:
    with pytest.raises(HostUnknown):
        await resolve("a" * 300 + ".example", 443)

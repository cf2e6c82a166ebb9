"""A customer's bucket leads nowhere inside, however it is named (CV-16, API-84)."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from core.errors import StorageError, StorageRefused
from core.storage.s3 import Encryption, S3Storage
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.integration

Resolver = Any


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> list[str]:
    """Let names resolve to these addresses, one answer after the other; what was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def answer(host: str, port: int, *args: Any, **more: Any) -> Any:
        if not host.endswith(".example") and host != "localhost":
            return real(host, port, *args, **more)
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("http://127.0.0.1:{port}", "https endpoint"),
        ("https://127.0.0.1:{port}", "not on the public internet"),
        ("https://localhost:{port}", "not on the public internet"),
        ("https://169.254.169.254", "not on the public internet"),
        ("https://[::1]:{port}", "not on the public internet"),
        ("https://[::ffff:10.0.0.1]", "not on the public internet"),
    ],
)
def test_an_endpoint_inside_is_refused(s3_server: S3Server, endpoint: str, why: str) -> None:
    port = urlsplit(s3_server.endpoint).port
    bucket = replace(
        s3_server.missing_bucket("inside"),
        endpoint=endpoint.format(port=port),
        trusted_origins=(),
    )
    with pytest.raises(StorageRefused, match=why) as caught:
        S3Storage(bucket).put_bytes("recordings/a", b"x", "text/plain")
    assert not caught.value.retryable


def test_a_name_that_changes_its_answer_is_refused(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection is checked, and goes to an address that was."""
    port = urlsplit(s3_server.endpoint).port
    resolve_to(monkeypatch, ["93.184.215.14", "10.0.0.7"])
    bucket = replace(
        s3_server.missing_bucket("moving"),
        endpoint=f"https://store.example:{port}",
        trusted_origins=(),
    )
    with pytest.raises(StorageRefused, match=r"store\.example is not on the public internet"):
        S3Storage(bucket).get_bytes("recordings/a")


def test_a_trusted_origin_is_connected_to_at_the_address_that_was_checked(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve_to(monkeypatch, ["127.0.0.1"])
    origin = f"http://localhost:{urlsplit(s3_server.endpoint).port}"
    made = s3_server.bucket("by-name")
    storage = S3Storage(replace(made, endpoint=origin, trusted_origins=(origin,)))
    storage.put_bytes("recordings/a", b"x", "text/plain")
    assert S3Storage(made).get_bytes("recordings/a") == b"x"
    assert set(asked) == {"localhost"}


def test_a_name_that_does_not_exist_is_a_refusal(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    def silent(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    bucket = replace(
        s3_server.missing_bucket("any"), endpoint="https://stroe.example", trusted_origins=()
    )
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StorageRefused, match=r"stroe\.example does not exist"):
        S3Storage(bucket).get_bytes("recordings/a")
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    with pytest.raises(StorageError, match="could not be resolved") as caught:
        S3Storage(bucket).get_bytes("recordings/a")
    assert caught.value.retryable


def test_proxies_and_endpoints_of_the_environment_are_not_used(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = s3_server.bucket("no-proxy")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage = S3Storage(replace(made, trusted_origins=(s3_server.endpoint,)))
    assert storage.put_bytes("recordings/a", b"x", "text/plain").size == 1


@pytest.mark.parametrize(
    "encryption",
    [Encryption("AES256"), Encryption("aws:kms"), Encryption("aws:kms", "alias/acme")],
)
def test_objects_are_encrypted_as_the_team_wants(
    s3_server: S3Server, encryption: Encryption
) -> None:
    """In one piece and in parts."""
    name = f"sealed-{encryption.mode.replace(':', '-').lower()}-{encryption.key_id is None}".lower()
    made = s3_server.bucket(name)
    storage = S3Storage(replace(made, trusted_origins=(s3_server.endpoint,), encryption=encryption))
    storage.put_bytes("recordings/a", b"x", "text/plain")
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    found = client.head_object(Bucket=name, Key="recordings/a")
    assert found["ServerSideEncryption"] == encryption.mode
    if encryption.key_id is not None:
        assert found["SSEKMSKeyId"].endswith(encryption.key_id)

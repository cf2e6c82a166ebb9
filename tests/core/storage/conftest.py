"""Both kinds of storage, and a way to fetch their links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from core.storage.base import Storage
from core.storage.files import create_files_app
from core.storage.local import LocalStorage
from core.storage.s3 import Encryption, S3Storage
from tests.support.s3_server import S3Server, running_s3_server

LINK_SECRET = SecretStr("a secret for links")
FILES_URL = "http://files.example"
# Parts of S3 have a least size, so files that come in parts are larger.
PARTS_FROM = 6 << 20


@dataclass(frozen=True)
class Fetched:
    status: int
    content: bytes
    content_type: str


@dataclass(frozen=True)
class Backend:
    storage: Storage
    fetch: Callable[[str], Fetched]
    uri_prefix: str


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


_numbers = count(1)


@pytest.fixture(params=["local", "s3", "s3-prefixed", "s3-of-a-team"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "local":
        storage = LocalStorage(tmp_path / "root", files_url=FILES_URL, link_secret=LINK_SECRET)
        client = TestClient(create_files_app(tmp_path / "root", LINK_SECRET), base_url=FILES_URL)

        def from_files_app(link: str) -> Fetched:
            answer = client.get(link)
            return Fetched(answer.status_code, answer.content, answer.headers["content-type"])

        return Backend(storage, from_files_app, "s3://local/")
    server: S3Server = request.getfixturevalue("s3_server")
    name = f"bucket-{next(_numbers)}"
    prefix = "acme/live" if request.param == "s3-prefixed" else ""
    bucket = server.bucket(name, prefix=prefix)
    if request.param == "s3-of-a-team":
        sealing = Encryption("aws:kms", "alias/acme")
        bucket = replace(bucket, trusted_origins=(server.endpoint,), encryption=sealing)
    return Backend(
        S3Storage(bucket, multipart_from=PARTS_FROM),
        _fetch,
        f"s3://{name}/{prefix}/" if prefix else f"s3://{name}/",
    )


def _fetch(link: str) -> Fetched:
    answer = httpx.get(link, timeout=10, trust_env=False)
    return Fetched(answer.status_code, answer.content, answer.headers["content-type"])

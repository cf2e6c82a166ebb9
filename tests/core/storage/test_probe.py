"""What the test of a bucket says, step by step (API-43)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import StorageError
from core.storage.base import StoredObject
from core.storage.local import LocalStorage
from core.storage.probe import CONTENT, probe
from core.storage.s3 import S3Storage
from tests.core.storage.conftest import Backend
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.integration


def test_a_good_bucket_passes_and_nothing_stays(backend: Backend) -> None:
    steps = probe(backend.storage)
    assert [(one.step, one.ok) for one in steps] == [
        ("write", True),
        ("read", True),
        ("list", True),
        ("delete", True),
    ]
    assert list(backend.storage.list("")) == []


def test_what_cannot_be_written_is_not_tried_further(s3_server: S3Server) -> None:
    steps = probe(S3Storage(s3_server.missing_bucket("nowhere")))
    assert [one.ok for one in steps] == [False] * 4
    assert "NoSuchBucket" in steps[0].message
    assert "s3:PutObject" in steps[0].message


def test_a_bucket_that_forbids_deletes_is_told_by_that_step(s3_server: S3Server) -> None:
    storage = S3Storage(s3_server.bucket("keeps-the-probe"))
    s3_server.forbid_deletes("keeps-the-probe")
    failed = [one for one in probe(storage) if not one.ok]
    assert [one.step for one in failed] == ["delete"]
    assert "AccessDenied" in failed[0].message
    assert "s3:DeleteObject" in failed[0].message


class Forgetful(LocalStorage):
    """Gives back something else, lists nothing, deletes nothing."""

    def get_bytes(self, key: str) -> bytes:
        return super().get_bytes(key)[::-1]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        return None


def test_a_store_that_only_pretends_is_found_out(tmp_path: Path) -> None:
    storage = Forgetful(tmp_path, files_url="http://f", link_secret=SecretStr("s"))
    assert [(one.step, one.ok) for one in probe(storage)] == [
        ("write", True),
        ("read", False),
        ("list", False),
        ("delete", False),
    ]


def test_a_short_write_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path, files_url="http://f", link_secret=SecretStr("s"))
    real = storage.put_bytes
    monkeypatch.setattr(storage, "put_bytes", lambda key, data, mime: real(key, data[1:], mime))
    (written, *_) = probe(storage)
    assert not written.ok
    assert f"{len(CONTENT)} bytes were sent" in written.message
    with pytest.raises(StorageError):
        storage.get_bytes("recordings/none")

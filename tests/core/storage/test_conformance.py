"""One behaviour of storage, local or S3 (AR-16, MF-10)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from core.errors import ObjectMissing, StorageRefused
from tests.core.storage.conftest import PARTS_FROM, Backend

pytestmark = pytest.mark.integration

KEY = "recordings/job_1/audio.prt_1.ogg"


def test_what_was_put_is_read_back_with_size_checksum_and_type(backend: Backend) -> None:
    put = backend.storage.put_bytes(KEY, b"hello", "audio/ogg")
    assert put == backend.storage.head(KEY)
    assert (put.key, put.size, put.content_type) == (KEY, 5, "audio/ogg")
    assert put.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert backend.storage.get_bytes(KEY) == b"hello"


@pytest.mark.parametrize("size", [0, 1, 70_000, PARTS_FROM + 12_345])
def test_files_of_any_size_arrive_whole(backend: Backend, tmp_path: Path, size: int) -> None:
    """Also those that S3 takes in parts, whose own checksum is not that of the whole."""
    content = os.urandom(size)
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(content)
    put = backend.storage.put_file(KEY, source, "video/webm")
    assert (put.size, put.sha256) == (size, hashlib.sha256(content).hexdigest())
    backend.storage.get_file(KEY, back)
    assert back.read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["back", "source"]


def test_putting_again_replaces(backend: Backend) -> None:
    backend.storage.put_bytes(KEY, b"first, and longer", "audio/ogg")
    put = backend.storage.put_bytes(KEY, b"second", "text/plain")
    assert backend.storage.get_bytes(KEY) == b"second"
    assert (put.size, put.content_type) == (6, "text/plain")


def test_lists_everything_below_a_prefix_in_key_order(backend: Backend) -> None:
    keys = ["recordings/a/2", "recordings/a/10", "recordings/a/x/1", "recordings/ab/1", "other/1"]
    for key in keys:
        backend.storage.put_bytes(key, key.encode(), "text/plain")
    listed = [(o.key, o.size) for o in backend.storage.list("recordings/a/")]
    expected = sorted(key for key in keys if key.startswith("recordings/a/"))
    assert listed == [(key, len(key)) for key in expected]
    assert list(backend.storage.list("nothing/")) == []


def test_deletes_and_does_not_mind_what_is_gone(backend: Backend) -> None:
    for key in ("recordings/a/1", "recordings/a/2"):
        backend.storage.put_bytes(key, b"x", "text/plain")
    backend.storage.delete(["recordings/a/1", "recordings/a/gone"])
    backend.storage.delete([])
    assert [o.key for o in backend.storage.list("recordings/")] == ["recordings/a/2"]


def test_what_is_not_there_is_missing(backend: Backend, tmp_path: Path) -> None:
    for read in (backend.storage.get_bytes, backend.storage.head):
        with pytest.raises(ObjectMissing, match="recordings/none"):
            read("recordings/none")
    with pytest.raises(ObjectMissing):
        backend.storage.get_file("recordings/none", tmp_path / "back")
    assert list(tmp_path.glob("*back*")) == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../up", "a/../../up", "a//b", "a/./b", "a b", "a\\b", "ä", "a\n"]
)
def test_keys_are_plain_paths(backend: Backend, key: str) -> None:
    """MF-14: nothing that needs escaping, nothing that climbs."""
    with pytest.raises(StorageRefused):
        backend.storage.put_bytes(key, b"x", "text/plain")
    with pytest.raises(StorageRefused):
        backend.storage.get_bytes(key)


def test_uris_are_absolute(backend: Backend) -> None:
    """MF-10."""
    assert backend.storage.uri(KEY) == backend.uri_prefix + KEY


def test_a_link_is_fetched_with_a_plain_get(backend: Backend) -> None:
    backend.storage.put_bytes(KEY, b"hello", "audio/ogg")
    answer = backend.fetch(backend.storage.link(KEY, 60))
    assert (answer.status, answer.content) == (200, b"hello")
    assert answer.content_type == "audio/ogg"

"""What only S3 can answer: which bucket, which keys, no server (Bad input: storage down)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadInput, StorageError, StorageRefused
from core.settings import Settings, StorageSettings
from core.storage.factory import create_storage
from core.storage.local import LocalStorage
from core.storage.s3 import S3Storage
from tests.support.ports import free_port
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.integration


def test_a_bucket_that_does_not_exist_is_a_refusal(s3_server: S3Server) -> None:
    storage = S3Storage(s3_server.missing_bucket("no-such-bucket"))
    with pytest.raises(StorageRefused, match="NoSuchBucket") as caught:
        storage.put_bytes("recordings/a", b"x", "text/plain")
    assert not caught.value.retryable


def test_a_bucket_that_lets_nobody_delete_is_a_refusal(s3_server: S3Server) -> None:
    storage = S3Storage(s3_server.bucket("keeps-all"))
    storage.put_bytes("recordings/a", b"x", "text/plain")
    s3_server.forbid_deletes("keeps-all")
    with pytest.raises(StorageRefused, match="recordings/a was not deleted: AccessDenied"):
        storage.delete(["recordings/a"])
    assert storage.get_bytes("recordings/a") == b"x"


def test_a_server_that_is_down_may_come_back(s3_server: S3Server, tmp_path: Path) -> None:
    down = replace(s3_server.missing_bucket("any"), endpoint=f"http://127.0.0.1:{free_port()}")
    storage = S3Storage(down)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: storage.put_bytes("recordings/a", b"x", "text/plain"),
        lambda: storage.put_file("recordings/a", source, "text/plain"),
        lambda: storage.get_bytes("recordings/a"),
        lambda: storage.head("recordings/a"),
        lambda: list(storage.list("recordings/")),
        lambda: storage.delete(["recordings/a"]),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="could not be reached") as caught:
            call()
        assert caught.value.retryable


def test_an_upload_in_parts_that_fails_leaves_no_parts(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3_server.bucket("unfinished")
    storage = S3Storage(bucket, multipart_from=1)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("the line broke")

    monkeypatch.setattr(storage._client, "complete_multipart_upload", broken)
    with pytest.raises(StorageError, match="the line broke"):
        storage.put_file("recordings/a", source, "text/plain")
    uploads = storage._client.list_multipart_uploads(Bucket="unfinished")
    assert uploads.get("Uploads", []) == []


def test_more_objects_than_one_call_takes_are_all_listed_and_deleted(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.storage.s3.LIST_PAGE", 10)
    monkeypatch.setattr("core.storage.s3.DELETE_BATCH", 10)
    storage = S3Storage(s3_server.bucket("many"))
    keys = [f"recordings/job/{number:05d}" for number in range(25)]
    for key in keys:
        storage.put_bytes(key, b"x", "text/plain")
    assert [found.key for found in storage.list("recordings/")] == keys
    storage.delete(keys)
    assert list(storage.list("recordings/")) == []


def test_the_factory_follows_the_settings(tmp_path: Path) -> None:
    local = Settings(
        data_dir=tmp_path, storage=StorageSettings.model_validate({"link_secret": "x"})
    )
    assert isinstance(create_storage(local), LocalStorage)
    s3 = StorageSettings.model_validate({"kind": "s3", "bucket": "b", "region": "eu-west-1"})
    assert isinstance(create_storage(Settings(storage=s3)), S3Storage)


def test_half_a_pair_of_keys_is_refused_with_the_setting_to_look_at() -> None:
    half = StorageSettings.model_validate({"kind": "s3", "bucket": "b", "access_key_id": "a"})
    with pytest.raises(StorageRefused, match="MEETBOT_STORAGE__SECRET_ACCESS_KEY"):
        create_storage(Settings(storage=half))


@pytest.mark.parametrize(
    ("storage", "named"),
    [({"kind": "s3"}, "MEETBOT_STORAGE__BUCKET"), ({}, "MEETBOT_STORAGE__LINK_SECRET")],
)
def test_a_missing_setting_is_named(storage: dict[str, str], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        create_storage(Settings(storage=StorageSettings.model_validate(storage)))

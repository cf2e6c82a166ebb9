"""What only the folder has to get right: no half files, no links followed (D20)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from core.errors import StorageError
from core.storage.files import create_files_app
from core.storage.local import LocalStorage

pytestmark = pytest.mark.integration

SECRET = SecretStr("a secret for links")
KEY = "recordings/job_1/tab.webm"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path, files_url="http://files.example", link_secret=SECRET)


@pytest.fixture
def client(tmp_path: Path, storage: LocalStorage) -> TestClient:
    storage.put_bytes(KEY, b"0123456789", "video/webm")
    return TestClient(create_files_app(tmp_path, SECRET), base_url="http://files.example")


def test_a_write_that_fails_leaves_the_old_object(storage: LocalStorage, tmp_path: Path) -> None:
    storage.put_bytes(KEY, b"old", "video/webm")
    with pytest.raises(FileNotFoundError):
        storage.put_file(KEY, tmp_path / "none", "video/webm")
    assert storage.get_bytes(KEY) == b"old"
    assert list((tmp_path / "incoming").iterdir()) == []


def test_objects_are_for_their_owner_only(storage: LocalStorage, tmp_path: Path) -> None:
    storage.put_bytes(KEY, b"x", "video/webm")
    for top in tmp_path.iterdir():
        assert stat.S_IMODE(top.stat().st_mode) == 0o700


@pytest.mark.parametrize("level", ["file", "folder"])
def test_links_in_the_folder_are_not_followed(
    storage: LocalStorage, client: TestClient, tmp_path: Path, level: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text("marker")
    objects = tmp_path / "objects" / "recordings"
    if level == "file":
        (objects / "job_1" / "secret.json").symlink_to(outside / "secret.json")
        key = "recordings/job_1/secret.json"
    else:
        (objects / "linked").symlink_to(outside)
        key = "recordings/linked/secret.json"
    with pytest.raises(StorageError):
        storage.get_bytes(key)
    assert key not in [found.key for found in storage.list("recordings/")]
    answer = client.get(storage.link(key, 60))
    assert answer.status_code == 404


def test_devices_and_pipes_are_no_objects(
    storage: LocalStorage, client: TestClient, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "objects" / "recordings" / "pipe")
    assert client.get(storage.link("recordings/pipe", 60)).status_code == 404


def test_deleting_the_last_object_removes_its_folders(
    storage: LocalStorage, tmp_path: Path
) -> None:
    storage.put_bytes(KEY, b"x", "video/webm")
    storage.delete([KEY])
    assert list((tmp_path / "objects").iterdir()) == []
    assert list((tmp_path / "facts").iterdir()) == []


@pytest.mark.parametrize(
    ("sent", "status", "body", "told"),
    [
        (None, 200, b"0123456789", None),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=4-2", 416, None, "bytes */10"),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_ranges(
    client: TestClient,
    storage: LocalStorage,
    sent: str | None,
    status: int,
    body: bytes | None,
    told: str | None,
) -> None:
    answer = client.get(storage.link(KEY, 60), headers={"range": sent} if sent else {})
    assert answer.status_code == status
    assert answer.headers.get("content-range") == told
    if body is not None:
        assert answer.content == body
        assert answer.headers["content-length"] == str(len(body))


def test_head_tells_the_size_without_the_bytes(client: TestClient, storage: LocalStorage) -> None:
    answer = client.head(storage.link(KEY, 60))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "10"


@pytest.mark.parametrize("spoil", ["key", "expires", "signature", "late"])
def test_only_an_untouched_link_opens_a_file(
    client: TestClient, storage: LocalStorage, spoil: str
) -> None:
    """D20: time-limited HMAC links."""
    storage.put_bytes("recordings/job_2/tab.webm", b"another's", "video/webm")
    link = storage.link(KEY, -1 if spoil == "late" else 60)
    if spoil == "key":
        link = link.replace("job_1", "job_2")
    elif spoil == "expires":
        link = link.replace("expires=", "expires=9")
    elif spoil == "signature":
        link = link[:-1] + ("0" if link[-1] != "0" else "1")
    answer = client.get(link)
    assert answer.status_code == 403
    assert b"0123456789" not in answer.content


def test_what_is_served_cannot_run_in_a_browser(client: TestClient, storage: LocalStorage) -> None:
    storage.put_bytes("recordings/job_1/page.html", b"<script>1</script>", "text/html")
    answer = client.get(storage.link("recordings/job_1/page.html", 60))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"

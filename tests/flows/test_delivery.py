"""What is left of a meeting to which nobody came (LC-26)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.recording.bundles import journal_prefix
from core.storage.local import LocalStorage
from core.storage.s3 import Bucket, S3Storage
from flows.delivery import purge
from tests.bot.recording.writing import JOB
from tests.support.ports import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / JOB
    folder.mkdir(parents=True)
    (folder / "journal").write_text("something")
    return folder


def test_it_is_deleted_here_and_in_storage(recorded: Path, tmp_path: Path) -> None:
    storage = LocalStorage(
        tmp_path / "storage", files_url="http://files.example", link_secret=SecretStr("x")
    )
    storage.put_bytes(f"{journal_prefix(JOB)}1/1", b"bundle", "application/octet-stream")
    assert asyncio.run(purge(recorded, JOB, storage)) is None
    assert not recorded.exists()
    assert list(storage.list(journal_prefix(JOB))) == []


def test_storage_that_is_away_does_not_keep_the_job_from_ending(recorded: Path) -> None:
    away = S3Storage(
        Bucket(
            name="bucket",
            endpoint=f"http://127.0.0.1:{free_port()}",
            region="us-east-1",
            access_key_id=SecretStr("id"),
            secret_access_key=SecretStr("secret"),
            force_path_style=True,
        )
    )
    kept = asyncio.run(purge(recorded, JOB, away))
    assert kept is not None
    assert journal_prefix(JOB) in kept
    assert not recorded.exists()

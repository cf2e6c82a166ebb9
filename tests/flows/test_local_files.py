"""Work folders of erased jobs go from the machine that has them (MF-16, MF-22)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from core.database import Database
from core.erasure.models import Erasure
from core.erasure.service import request_erasure
from core.jobs.lifecycle import Status
from core.jobs.service import request_cancel
from core.secrets import SecretBox
from core.settings import Settings, StorageSettings, WorkerSettings
from flows.local_files import erase_local
from flows.resources import open_resources
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


async def test_only_what_is_erased_goes(
    database: Database,
    database_url: SecretStr,
    box: SecretBox,
    encryption_key: SecretStr,
    clock: ManualClock,
    tmp_path: Path,
) -> None:
    book = await JobBook.open(database, box, clock)
    settings = Settings(
        data_dir=tmp_path,
        storage=StorageSettings(link_secret=SecretStr("a secret for links")),
        database_url=database_url,
        encryption_keys=(encryption_key,),
        worker=WorkerSettings(name="here"),
    )
    gone, kept = await book.add(), await book.add()
    for job in (gone, kept):
        folder = settings.work_dir / job.id / "1"
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_text("{}")
        (folder / "audio.ogg").write_bytes(b"OggS")
    (settings.work_dir / f".discarded-{gone.id}").mkdir()
    (settings.work_dir / "something else").mkdir()
    async with database.begin() as session:
        await request_cancel(session, gone.id, now=book.now)
        await request_erasure(session, gone.id, by="operator", now=book.now)
    async with open_resources(settings) as resources:
        assert await erase_local(resources) == 1
        assert await erase_local(resources) == 0
    assert sorted(path.name for path in settings.work_dir.iterdir()) == [
        kept.id,
        "something else",
    ]
    async with database.begin() as session:
        row = await session.get_one(Erasure, gone.id)
    assert row.machines["here"]["files"] == 2
    assert (await book.read(kept)).status is Status.QUEUED

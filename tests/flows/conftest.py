"""What several tests of the flows share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.database import Database
from core.secrets import SecretBox
from tests.bot.recording.writing import write_attempt
from tests.flows.transcribing import SECONDS, Team, recording_team
from tests.support.clock import ManualClock
from tests.support.s3_server import S3Server, running_s3_server


@pytest.fixture(scope="package")
def transcripts_s3() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@pytest.fixture(scope="package")
def written_meeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meeting") / "work"
    write_attempt(folder, seconds=SECONDS)
    return folder


@pytest.fixture
async def team(
    tmp_path: Path,
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    transcripts_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    written_meeting: Path,
) -> AsyncIterator[Team]:
    async with recording_team(
        tmp_path, database, box, clock, transcripts_s3, monkeypatch, written_meeting
    ) as opened:
        yield opened

"""Transcripts at once or later, by whom the team wants, in its own bucket (AR-10, D15, D18)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlmodel import col, select

from core.billing.models import UsageEvent, UsageKind
from core.database import Database
from core.errors import StaleAttempt, StorageError, TranscriptionError
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.spec import TranscriptionOptions
from core.recordings.journal import JOURNAL_NAME
from core.recordings.manifest import MANIFEST_NAME, Manifest
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.base import Storage
from core.storage.local import LocalStorage
from core.storage.s3 import S3Storage
from core.storage.team import Keys, TeamStorage, place
from core.transcripts import requests
from core.transcripts.models import ProviderKey, RequestStatus, TranscriptRequest
from core.transcripts.settings import ProviderAccess
from flows import delivery, transcripts
from flows.holding import Deaths
from flows.resources import Resources
from flows.run import MeetingRun
from tests.bot.recording.writing import JOB, write_attempt
from tests.support.api_server import running_api
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.providers import KEY, Provider, providers_app
from tests.support.s3_server import S3Server, running_s3_server
from transcription.engine import Engine, Heard, Samples, Word
from transcription.engines.choosing import create_engine

pytestmark = [pytest.mark.integration, pytest.mark.media]

# So that it is billed (BL-07).
SECONDS = 64
BYOK = TranscriptionOptions(mode="byok", provider="deepgram")
ADDON = TranscriptionOptions(mode="addon")


class OwnEngine(Engine):
    """The add-on without its model."""

    provider = "whisper"
    model = "tiny"

    def _words(self, samples: Samples, language: str | None) -> Heard:
        return Heard("en", (Word(0.0, 0.5, " Ours."),))


class NoPost:
    async def deliver_job(self, job_id: str) -> None:
        """Webhooks stay in their rows here."""


@dataclass
class Runs:
    """What Prefect would be asked for."""

    started: list[tuple[str, dict[str, str], str]] = field(default_factory=list)

    async def start(
        self, deployment: str, parameters: dict[str, str], *, queue: str, key: str
    ) -> str:
        self.started.append((deployment, parameters, key))
        return key


@dataclass
class Team:
    """A team with a bucket and a provider, and a machine that records for it."""

    book: JobBook
    resources: Resources
    storage_id: str
    bucket: S3Storage
    provider: Provider
    exits: AsyncExitStack

    async def recorded(self, options: TranscriptionOptions) -> Job:
        """A job that is over, as a meeting's process ends it."""
        job = await self.book.add(storage_id=self.storage_id, transcription=options)
        await self.book.bring_to(job, Status.FINALIZING)
        work_dir = self.resources.settings.work_dir / job.id
        await asyncio.to_thread(write_attempt, work_dir, seconds=SECONDS)
        journal = work_dir / "1" / JOURNAL_NAME
        journal.write_text(journal.read_text().replace(JOB, job.id))
        self.book.clock.advance(60)
        run = MeetingRun(self.resources, job.id, "process-1")
        await self.exits.enter_async_context(run)
        for stage in ("dispatch", "join", "capture", "finalize", "upload"):
            await getattr(run, stage)()
        with contextlib.suppress(TranscriptionError):
            await run.transcribe()
        await run.meter()
        return await self.book.read(job)

    async def manifest(self, job: Job) -> Manifest:
        key = f"recordings/{job.id}/{MANIFEST_NAME}"
        return Manifest.model_validate_json(await asyncio.to_thread(self.bucket.get_bytes, key))

    async def charged(self, job: Job) -> list[int]:
        """The revisions for which the add-on was charged."""
        statement = (
            select(UsageEvent.revision)
            .where(UsageEvent.job_id == job.id, col(UsageEvent.kind) == UsageKind.TRANSCRIPTION)
            .order_by(col(UsageEvent.revision))
        )
        async with self.book.database.begin() as session:
            return list((await session.exec(statement)).all())

    async def ask(self, job: Job, options: TranscriptionOptions) -> str:
        async with self.book.database.begin() as session:
            return (await requests.request_transcript(session, job, options, now=self.book.now)).id

    async def request(self, request_id: str) -> TranscriptRequest:
        async with self.book.database.begin() as session:
            return await session.get_one(TranscriptRequest, request_id)

    async def pending(self, job: Job) -> TranscriptRequest:
        async with self.book.database.begin() as session:
            found = await requests.pending_request(session, job.id)
        assert found is not None
        return found

    async def wear_out(self, request_id: str) -> None:
        """Every attempt dies without a word."""
        for _ in range(requests.MOST_ATTEMPTS):
            async with self.book.database.begin() as session:
                assert await requests.take(session, request_id, now=self.book.now)
            self.book.clock.advance(requests.LONGEST_WAIT.total_seconds())

    async def due(self, at_once: int = 9) -> Sequence[str]:
        async with self.book.database.begin() as session:
            due = await requests.due_requests(session, now=self.book.now, at_once=at_once)
            return [row.id for row in due]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@pytest.fixture
async def team(
    tmp_path: Path,
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Team]:
    def engine(access: ProviderAccess | None, settings: Settings) -> Engine:
        return OwnEngine() if access is None else create_engine(access, settings)

    monkeypatch.setattr(delivery, "create_engine", engine)
    monkeypatch.setattr("os.nice", lambda _: 0)
    book = await JobBook.open(database, box, clock)
    made = s3_server.bucket(f"team-{book.team_id[-8:].lower()}", prefix="acme")
    provider = Provider()
    async with running_api(providers_app(provider)) as origin, AsyncExitStack() as exits:
        async with database.begin() as session:
            keys = Keys(access_key_id="test", secret_access_key=SecretStr("test"))
            wanted = TeamStorage(
                id="",
                team_id=book.team_id,
                endpoint=s3_server.endpoint,
                bucket=made.name,
                prefix="acme",
                credentials=keys.sealed(box),
                force_path_style=True,
                created_at=book.now,
                updated_at=book.now,
                selected_at=book.now,
            )
            row = await place(session, wanted)
            session.add(
                ProviderKey(
                    team_id=book.team_id,
                    provider="deepgram",
                    api_key=box.seal(SecretStr(KEY)),
                    base_url=origin,
                    updated_at=book.now,
                )
            )
        resources = Resources(
            settings=Settings(data_dir=tmp_path, trusted_origins=(s3_server.endpoint, origin)),
            clock=clock,
            database=database,
            box=box,
            storage=LocalStorage(
                tmp_path / "operators", files_url="http://f", link_secret=SecretStr("s")
            ),
            courier=cast("Any", NoPost()),
        )
        yield Team(book, resources, row.id, S3Storage(made), provider, exits)


async def test_everything_goes_to_the_teams_bucket_and_nothing_to_the_operators(
    team: Team, tmp_path: Path
) -> None:
    """MF-20, PL-19, BL-16: and the provider's transcript is no charge of ours."""
    job = await team.recorded(BYOK)
    assert job.status is Status.COMPLETED
    assert job.manifest_uri is not None
    assert "/acme/recordings/" in job.manifest_uri
    names = {one.key.rpartition("/")[2] for one in team.bucket.list(f"recordings/{job.id}/")}
    assert {"manifest.json", "transcript.json", "transcript.vtt"} <= names
    assert list(team.resources.storage.list("")) == []
    manifest = await team.manifest(job)
    (made,) = manifest.transcripts
    assert (manifest.transcript, made.mode, made.provider) == ("ready", "byok", "deepgram")
    assert len(team.provider.asked) == 2, "one request per speaker"
    assert await team.charged(job) == []


async def test_a_failed_transcript_fails_no_job(team: Team) -> None:
    """AR-10."""
    team.provider.faults = [402] * 9
    job = await team.recorded(BYOK)
    assert job.status is Status.COMPLETED
    assert (await team.manifest(job)).transcript == "failed"
    assert await team.charged(job) == []


async def test_a_manifest_that_does_not_wait_says_pending_until_the_transcript_is_there(
    team: Team,
) -> None:
    """D18: `wait: false`."""
    job = await team.recorded(ADDON.model_copy(update={"wait": False}))
    assert job.status is Status.COMPLETED
    assert (await team.manifest(job)).transcript == "pending"
    assert await team.charged(job) == []
    row = await team.pending(job)
    assert await transcripts.attempt(team.resources, row.id)
    manifest = await team.manifest(job)
    assert (manifest.transcript, manifest.revision) == ("ready", 2)
    assert manifest.artifacts.transcript is not None
    assert await team.charged(job) == [2]
    assert (await team.request(row.id)).status is RequestStatus.COMPLETED
    assert not await transcripts.attempt(team.resources, row.id), "once is enough"


async def test_a_recording_is_transcribed_again_with_another_provider(team: Team) -> None:
    job = await team.recorded(ADDON)
    assert await transcripts.attempt(team.resources, await team.ask(job, BYOK))
    assert await transcripts.attempt(team.resources, await team.ask(job, ADDON))
    manifest = await team.manifest(job)
    made = [(one.revision, one.mode, one.provider) for one in manifest.transcripts]
    assert made == [(1, "addon", "whisper"), (2, "byok", "deepgram"), (3, "addon", "whisper")]
    assert await team.charged(job) == [1, 3]
    document = team.bucket.get_bytes(f"recordings/{job.id}/transcript.json")
    assert b"Ours." in document


async def test_what_an_attempt_did_before_it_died_is_not_done_again(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        taken = await requests.take(session, request_id, now=team.book.now)
    assert taken is not None
    storage = await team.resources.storage_of(job)
    first = await transcripts._made(team.resources, storage, *taken)
    # It died before it could bill. Nobody else begins while it may still be at work.
    assert not await transcripts.attempt(team.resources, request_id)
    team.book.clock.advance(requests.LEASE_SECONDS)
    assert await transcripts.attempt(team.resources, request_id)
    assert await team.manifest(job) == first
    assert await team.charged(job) == [2]


async def test_an_attempt_that_was_too_slow_writes_nothing(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        slow = await requests.take(session, request_id, now=team.book.now)
    team.book.clock.advance(requests.LEASE_SECONDS)
    assert slow is not None
    assert await transcripts.attempt(team.resources, request_id)
    with pytest.raises(StaleAttempt, match="too slow"):
        await transcripts._still_ours(team.resources, slow[1])


async def test_a_refused_key_ends_the_wait_and_leaves_what_there_was(team: Team) -> None:
    waiting = await team.recorded(BYOK.model_copy(update={"wait": False}))
    ready = await team.recorded(ADDON)
    async with team.book.database.begin() as session:
        row = await session.get_one(ProviderKey, (team.book.team_id, "deepgram"))
        row.api_key = team.book.box.seal(SecretStr("revoked"))
    for job, request_id in (
        (waiting, (await team.pending(waiting)).id),
        (ready, await team.ask(ready, BYOK)),
    ):
        assert not await transcripts.attempt(team.resources, request_id)
        found = await team.request(request_id)
        assert found.status is RequestStatus.FAILED
        assert "refused the API key" in found.detail
        assert (await team.book.read(job)).status is Status.COMPLETED
    failed = await team.manifest(waiting)
    assert (failed.transcript, failed.revision) == ("failed", 2)
    assert "refused the API key" in (failed.transcript_failure or "")
    assert (await team.manifest(ready)).transcript == "ready"


async def test_a_provider_that_is_away_is_asked_again_later(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcription.engines.provider.FIRST_PAUSE", 0.01)
    job = await team.recorded(BYOK.model_copy(update={"wait": False}))
    request_id = (await team.pending(job)).id
    team.provider.faults = [503] * 4
    assert await team.due() == [request_id]
    assert not await transcripts.attempt(team.resources, request_id)
    assert await team.due() == []
    assert (await team.manifest(job)).transcript == "pending"
    team.book.clock.advance(31)
    assert await team.due() == [request_id]
    assert await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).transcripts[-1].provider == "deepgram"


async def test_the_next_attempt_begins_seconds_after_one_that_died(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        assert await requests.take(session, request_id, now=team.book.now)
    team.book.clock.advance(requests.LEASE_SECONDS - 1)
    assert await team.due() == []
    team.book.clock.advance(1)
    assert await team.due() == [request_id]


async def test_a_death_that_the_worker_saw_ends_the_claim_at_once(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        assert await requests.take(session, request_id, now=team.book.now)
    await Deaths(team.resources).of_transcript(request_id)
    assert await team.due() == [request_id]
    await Deaths(team.resources).of_transcript("trn_erased_meanwhile")


async def test_a_living_attempt_keeps_its_claim_however_long_it_takes(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = team.book.clock
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    understood = delivery.understood

    async def slowly(*args: Any) -> Any:
        for _ in range(4):
            held = (await team.request(request_id)).claimed_until
            clock.advance(requests.RENEW_SECONDS)
            async with asyncio.timeout(30):
                while (await team.request(request_id)).claimed_until == held:
                    await asyncio.sleep(0)
            assert await team.due() == []
        return await understood(*args)

    monkeypatch.setattr(delivery, "understood", slowly)
    assert await transcripts.attempt(team.resources, request_id)
    assert await team.charged(job) == [2]


async def test_an_attempt_that_was_overtaken_is_stopped(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = team.book.clock
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)

    async def frozen(*_: Any) -> Any:
        clock.advance(0)
        async with team.book.database.begin() as session:
            row = await session.get_one(TranscriptRequest, request_id)
            row.attempts += 1
        clock.advance(requests.RENEW_SECONDS)
        await asyncio.Event().wait()

    monkeypatch.setattr(delivery, "understood", frozen)
    assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).revision == 1


async def test_attempts_that_die_without_a_word_end_in_a_manifest_that_says_so(team: Team) -> None:
    """D18: nobody waits for ever; the transcript may be asked for again (API-86)."""
    job = await team.recorded(ADDON.model_copy(update={"wait": False}))
    request_id = (await team.pending(job)).id
    await team.wear_out(request_id)
    assert await team.due() == [request_id]
    assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.request(request_id)).status is RequestStatus.FAILED
    assert await team.due() == []
    manifest = await team.manifest(job)
    assert (manifest.transcript, manifest.revision) == ("failed", 2)
    assert manifest.transcript_failure is not None
    assert "died in every attempt" in manifest.transcript_failure
    assert await transcripts.attempt(team.resources, await team.ask(job, ADDON))
    manifest = await team.manifest(job)
    assert (manifest.transcript, manifest.revision) == ("ready", 3)
    assert manifest.transcript_failure is None
    assert await team.charged(job) == [3]


async def test_a_failure_is_written_down_when_storage_is_back(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await team.recorded(ADDON.model_copy(update={"wait": False}))
    request_id = (await team.pending(job)).id
    await team.wear_out(request_id)

    async def away(*_: Any) -> Any:
        raise StorageError("The bucket is away.")

    with monkeypatch.context() as patch:
        patch.setattr(transcripts, "_manifest", away)
        assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).transcript == "pending"
    assert (await team.request(request_id)).status is RequestStatus.PENDING
    team.book.clock.advance(requests.LONGEST_WAIT.total_seconds())
    assert await team.due() == [request_id]
    assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).transcript == "failed"


async def test_few_are_made_at_once_and_each_gets_one_run(team: Team) -> None:
    jobs = [await team.recorded(TranscriptionOptions()) for _ in range(3)]
    ids = [await team.ask(job, ADDON) for job in jobs]
    runs = Runs()
    assert await transcripts.hand_out(team.resources, cast("Any", runs)) == 2
    assert runs.started[0][:2] == ("transcribe/transcribe", {"request_id": ids[0]})
    async with team.book.database.begin() as session:
        await requests.take(session, ids[0], now=team.book.now)
    assert await team.due(at_once=2) == [ids[1]]
    assert await team.due(at_once=1) == []


async def test_a_deleted_recording_has_no_transcript(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    storage: Storage = team.bucket
    storage.delete([f"recordings/{job.id}/{MANIFEST_NAME}"])
    assert not await transcripts.attempt(team.resources, request_id)
    assert "not in storage any more" in (await team.request(request_id)).detail

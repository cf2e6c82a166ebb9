"""Where outages are played: a machine after its bot, its job, and everything around it but time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlmodel import col, func, select

from bot.recording.journal import JournalWriter, StreamFile
from bot.recording.ogg import OggOpusMuxer
from core.billing.models import UsageEvent
from core.clock import epoch_ms
from core.database import Database, migrate
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.recordings.journal import Close, Open, ParticipantSeen, StreamOpened
from core.secrets import SecretBox, generate_key
from core.settings import Settings, WorkerSettings
from core.storage.s3 import S3Storage
from core.webhooks.delivery import Courier
from core.webhooks.sending import Sender
from flows.resources import Resources
from tests.bot.synthetic import FRAME, opus
from tests.support.clock import ManualClock
from tests.support.gate import Gate
from tests.support.jobs import JobBook
from tests.support.postgres import running_server
from tests.support.receiver import Receiver, running_receiver
from tests.support.s3_server import S3Server, running_s3_server

HERE: Final = "bots-1"
SPEAKERS: Final = 2
TONE: Final = opus(440, 1)


@dataclass
class Site:
    """A database server and an S3 server, for one outage after another."""

    database_url: SecretStr
    s3: S3Server


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    with running_server() as postgres, running_s3_server() as s3:
        url = postgres.url(postgres.create_database())
        await migrate(url)
        yield Site(url, s3)


@dataclass
class Machine:
    """One worker's machine and its job; when its storage went and came back, on the clock."""

    resources: Resources
    book: JobBook
    clock: ManualClock
    job: Job
    bucket: S3Storage
    receiver: Receiver
    gate: Gate
    closed_at: float | None = None
    opened_at: float | None = None

    @property
    def work_dir(self) -> Path:
        return self.resources.settings.work_dir / self.job.id

    @property
    def away_seconds(self) -> float:
        """How long ago storage went."""
        return 0 if self.closed_at is None else self.clock.monotonic() - self.closed_at

    def shut(self) -> None:
        self.gate.shut()
        self.closed_at = self.clock.monotonic()

    def open(self) -> None:
        self.gate.open()
        self.opened_at = self.clock.monotonic()

    def bytes_here(self) -> int:
        """The size of everything that was recorded."""
        return sum(path.stat().st_size for path in self.work_dir.rglob("*") if path.is_file())

    async def usage(self) -> int:
        """How often the job was billed."""
        mine = select(func.count()).where(col(UsageEvent.job_id) == self.job.id)
        async with self.book.database.begin() as session:
            return (await session.exec(mine)).one()

    def endings(self) -> list[str]:
        """The last webhooks that the customer got."""
        return [name for name in self.receiver.events if name != "job.status_changed"]


@asynccontextmanager
async def machine_at(place: Site, folder: Path) -> AsyncIterator[Machine]:
    """A job of this machine that is recording, its storage well."""
    clock, box, database = ManualClock(), SecretBox([generate_key()]), Database(place.database_url)
    gate = Gate(place.s3.endpoint)
    gate.start()
    try:
        async with (
            running_receiver() as receiver,
            Sender(timeout_seconds=5, trusted_origins=(receiver.origin,), clock=clock) as sender,
        ):
            book = await JobBook.open(database, box, clock)
            job = await book.add(webhooks={"onFinalize": receiver.url, "version": 2})
            await book.bring_to(job, Status.RECORDING)
            bucket = place.s3.bucket(job.id.lower().replace("_", "-"))
            settings = Settings(data_dir=folder, worker=WorkerSettings(name=HERE))
            resources = Resources(
                settings=settings,
                clock=clock,
                database=database,
                box=box,
                storage=S3Storage(replace(bucket, endpoint=gate.origin)),
                courier=Courier(database, sender, box, settings.webhooks, clock),
            )
            job = await book.read(job)
            yield Machine(resources, book, clock, job, S3Storage(bucket), receiver, gate)
    finally:
        await database.close()
        await asyncio.to_thread(gate.stop)


class Tape:
    """Records tones of `SPEAKERS` people, as the recorder writes them, as fast as can be."""

    def __init__(self, machine: Machine) -> None:
        self._seconds = 0
        self._t0 = epoch_ms(machine.clock.now())
        opened = Open(job_id=machine.job.id, fence=machine.job.fence, t0_ms=self._t0)
        self._journal = JournalWriter(machine.work_dir, opened)
        self._tracks = [self._track(f"prt_{number}", number) for number in range(SPEAKERS)]

    def _track(self, id_: str, number: int) -> tuple[StreamFile, OggOpusMuxer]:
        self._journal.write(
            ParticipantSeen(id=id_, platform_id=id_, display_name=id_, speaker_label="")
        )
        name = f"audio.{id_}.ogg"
        opened = StreamOpened(stream=name, kind="per-speaker", participant_id=id_)
        return self._journal.open_stream(opened), OggOpusMuxer(number)

    def record(self, seconds: int) -> None:
        """Go on for so long."""
        begin, self._seconds = self._seconds, self._seconds + seconds
        for stream, muxer in self._tracks:
            for _ in range(seconds):
                for packet in TONE:
                    muxer.add(packet, FRAME)
                muxer.flush()
            stream.append(muxer.take())
            spoken = ((begin * 1000, self._seconds * 1000),)
            self._journal.describe(stream, self._seconds * 1000, spoken)

    def close(self) -> None:
        """The host ends the meeting."""
        end = self._t0 + self._seconds * 1000
        self._journal.write(Close(at_ms=end, exit_reason=ExitReason.CALL_ENDED))
        self._journal.close()

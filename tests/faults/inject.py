"""Making things go wrong, on real processes and real connections."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from tests.e2e import processes
from tests.faults.leftovers import meeting_of
from tests.faults.plan import DEADLY, Fault
from tests.support.stack import RunningStack

# Longer than a lease and than every retry within a call, shorter than a test may take.
OUTAGE_SECONDS: Final = 15.0
# After an outage, until everything of it is in storage.
SENT_SECONDS: Final = 6.0
CHILDREN: Final = {Fault.WORKER: "worker", Fault.PREFECT: "prefect", Fault.API: "api"}


# These happen to one meeting only; all others to the product, and so to rounds beside theirs.
OF_ONE_MEETING: Final = DEADLY - {Fault.MACHINE}
_struck: list[tuple[str, Fault, float]] = []


def unstored_seconds(at: float) -> float:
    """How long storage was away until this epoch second, or until just before it."""
    began = [
        began
        for _, fault, began in _struck
        if fault is Fault.STORAGE and began < at < began + OUTAGE_SECONDS + SENT_SECONDS
    ]
    return max((min(at - one, OUTAGE_SECONDS) for one in began), default=0.0)


def struck(what: Fault, since: float) -> bool:
    """Whether this was away at some time after an epoch second, or just before it."""
    ends = [began + OUTAGE_SECONDS for _, fault, began in _struck if fault is what]
    return any(end + SENT_SECONDS > since for end in ends)


def borne_seconds(job_id: str, since: float, until: float) -> float:
    """How long, between two epoch seconds, what other rounds did to the product lasted at most."""
    begins = [at for other, _, at in _struck if other != job_id]
    shares = (min(until, at + OUTAGE_SECONDS) - max(since, at) for at in begins)
    return sum(share for share in shares if share > 0)


class Victim:
    """The processes of one job's meeting, also below a worker that is dead."""

    def __init__(self, job_id: str, meeting: psutil.Process) -> None:
        self.job_id = job_id
        self.meeting = meeting
        self.browser = next(
            child for child in self.meeting.children(recursive=True) if processes.is_browser(child)
        )

    def renderer(self) -> psutil.Process:
        """The busiest renderer: the meeting's page."""
        found = [
            child
            for child in self.browser.children(recursive=True)
            if "--type=renderer" in child.cmdline()
        ]
        return max(found, key=lambda child: sum(child.cpu_times()[:2]))


@asynccontextmanager
async def injected(product: RunningStack, fault: Fault, job_id: str) -> AsyncIterator[None]:
    """The fault happens when the block is entered; what lasts ends after `OUTAGE_SECONDS`.

    The block runs while it lasts, and is left when it is over.
    """
    if fault not in OF_ONE_MEETING:
        _struck.append((job_id, fault, time.time()))
    if fault in CHILDREN:
        pid = product.stack.supervisor.pid(CHILDREN[fault])
        assert pid is not None, f"{CHILDREN[fault]} is down already"
        os.kill(pid, signal.SIGKILL)
        yield
    elif fault in {Fault.STORAGE, Fault.RECEIVER}:
        gate = product.storage_gate if fault is Fault.STORAGE else product.receiver_gate
        with gate.closed():
            yield
            await asyncio.sleep(OUTAGE_SECONDS)
    elif fault is Fault.DATABASE_KILLED:
        for process in _database(product):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        yield
    elif fault is Fault.DATABASE:
        for process in _database(product):
            process.suspend()
        try:
            yield
            await asyncio.sleep(OUTAGE_SECONDS)
        finally:
            for process in _database(product):
                process.resume()
    else:
        meeting = await meeting_of(product, job_id)
        assert meeting is not None, "the job has no process"
        _strike(product, fault, Victim(job_id, meeting))
        yield


def _strike(product: RunningStack, fault: Fault, victim: Victim) -> None:
    match fault:
        case Fault.BROWSER:
            victim.browser.kill()
        case Fault.PAGE:
            victim.renderer().kill()
        case Fault.FROZEN:
            victim.renderer().suspend()
        case Fault.MEETING:
            victim.meeting.kill()
        case Fault.MACHINE:
            worker = product.worker()
            family = [victim.meeting, *victim.meeting.children(recursive=True)]
            worker.kill()
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            shutil.rmtree(product.settings.work_dir / victim.job_id, ignore_errors=True)
        case _:
            raise AssertionError(f"{fault} strikes no process of the meeting")


def _database(product: RunningStack) -> list[psutil.Process]:
    """The private PostgreSQL and its children."""
    lock = Path(product.settings.data_dir) / "postgres" / "postmaster.pid"
    server = psutil.Process(int(lock.read_text().splitlines()[0]))
    return [server, *server.children(recursive=True)]

"""Many meetings: joins due at the same second, runs that wait and run, and how fast jobs are made.

The bots of all figures but one are simulated, so that what is measured is ours and Prefect's share
and not Chromium's.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.states import Scheduled

from bench.figures import Figure, against, at_least, at_most
from bench.office import Office
from core.ids import new_id
from core.jobs.lifecycle import Event
from sandbox.schemas import RoomOptions

BURST: Final = 50
BROWSERS: Final = 4
# The farthest ahead of its time that a run starts is two leads.
AHEAD: Final = timedelta(seconds=135)
WAITING: Final = 200
IN_CALL: Final = 20
WINDOW_SECONDS: Final = 30.0
ROUNDS: Final = 3
REQUESTS: Final = 96
AT_ONCE: Final = 16


async def burst(office: Office) -> list[Figure]:
    office.say(f"{BURST} simulated joins due at the same second")
    join_at = _whole_second(AHEAD)
    jobs = await _gathered([office.send(join_at=join_at) for _ in range(BURST)])
    late = await _lateness(office, jobs, join_at)
    await office.end(jobs)
    return [_latest(f"{BURST} joins at once, the latest", late, 3)]


async def browsers(office: Office) -> list[Figure]:
    office.say(f"{BROWSERS} joins in Chromium due at the same second")
    rooms = [await office.sandbox.create_room(RoomOptions(video=False)) for _ in range(BROWSERS)]
    join_at = _whole_second(AHEAD)
    jobs = [await office.send(room.guest_url, join_at) for room in rooms]
    late = await _lateness(office, jobs, join_at)
    await office.end(jobs)
    return [_latest(f"{BROWSERS} Chromium joins at once, the latest", late, 5)]


async def idle(office: Office) -> list[Figure]:
    office.say("the stack without jobs")
    nothing = await _window(office)
    office.say(f"{WAITING} jobs for tomorrow")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for _ in range(WAITING // AT_ONCE + 1):
        await _gathered([office.send(join_at=tomorrow) for _ in range(AT_ONCE)])
    office.say(f"{IN_CALL} simulated meetings")
    jobs = await _gathered([office.send() for _ in range(IN_CALL)])
    await office.until(jobs, Event.MEDIA_CAPTURED)
    busy = await _window(office)
    await office.end(jobs)
    note = f"{WAITING} scheduled, {IN_CALL} in call, on one worker"
    unit = "% of a core"
    figures = [
        against(
            *(f"CPU of {name}", [busy[name][0]], unit),
            baseline="without jobs",
            baseline_samples=[nothing[name][0]],
            note=note,
        )
        for name in ("worker", "prefect")
    ]
    meetings = (busy["worker"][1] - nothing["worker"][1]) / IN_CALL
    each = (busy["worker"][0] - nothing["worker"][0]) * 0.6 / IN_CALL
    return [
        *figures,
        against("PSS of a simulated meeting", [meetings], "MiB", note=note),
        against("CPU of a simulated meeting", [each], "CPU-s/min", note=note),
        against("PSS of the worker without jobs", [nothing["worker"][1]], "MiB"),
        against("PSS of the Prefect server", [busy["prefect"][1]], "MiB", note=note),
    ]


async def throughput(office: Office) -> list[Figure]:
    """Jobs made over HTTP, beside flow runs made by Prefect's own client; they take turns."""
    settings = office.stack.settings.prefect
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    auth = settings.auth.get_secret_value() if settings.auth is not None else None
    ours: list[float] = []
    bare: list[float] = []
    async with PrefectClient(api=settings.api_url, auth_string=auth) as client:
        deployment = (await client.read_deployment_by_name(settings.deployment)).id
        for number in range(ROUNDS):
            office.say(f"round {number + 1} of {ROUNDS}: jobs, and bare flow runs")
            ours.append(await _rate(lambda: office.send(join_at=tomorrow)))
            bare.append(await _rate(lambda: _bare_run(client, deployment, tomorrow)))
    return [
        at_least(
            *("POST /jobs", ours, "a second", 0.7),
            baseline="bare flow runs",
            baseline_samples=bare,
            note=f"{AT_ONCE} at once",
        )
    ]


async def _bare_run(client: PrefectClient, deployment: UUID, at: datetime) -> str:
    name = new_id("job")
    run = await client.create_flow_run_from_deployment(
        deployment,
        parameters={"job_id": name},
        state=Scheduled(scheduled_time=at),
        name=name,
        tags=[name, "meet", "team"],
        idempotency_key=name,
    )
    return str(run.id)


async def _rate(call: Callable[[], Awaitable[str]]) -> float:
    """Calls a second, `AT_ONCE` of them at any moment."""
    left = iter(range(REQUESTS))

    async def work() -> None:
        for _ in left:
            await call()

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return REQUESTS / (time.monotonic() - began)


async def _gathered(calls: Sequence[Awaitable[str]]) -> list[str]:
    return list(await asyncio.gather(*calls))


async def _window(office: Office) -> dict[str, tuple[float, float]]:
    """Of worker and Prefect server: percent of a core over the window, and PSS in MiB."""
    names = ("worker", "prefect")
    await asyncio.sleep(5)
    before = {name: office.read(name) for name in names}
    began = time.monotonic()
    await asyncio.sleep(WINDOW_SECONDS)
    after = {name: office.read(name) for name in names}
    seconds = time.monotonic() - began
    return {
        name: (after[name].cpu_since(before[name]) / seconds * 100, after[name].pss_mib)
        for name in names
    }


async def _lateness(office: Office, jobs: Sequence[str], join_at: datetime) -> list[float]:
    """Seconds from `join_at` until each bot was in its room."""
    admitted = await office.until(jobs, Event.ADMITTED)
    started = await office.moments(jobs, Event.BOT_STARTED)
    early = [at for at in started.values() if at < join_at]
    if early:
        raise RuntimeError(f"{len(early)} bots started before their time")
    await office.until(jobs, Event.MEDIA_CAPTURED)
    return sorted((at - join_at).total_seconds() for at in admitted.values())


def _latest(name: str, late: Sequence[float], limit: float) -> Figure:
    return at_most(name, [late[-1]], "s", limit, note=f"median {statistics.median(late):.2f} s")


def _whole_second(ahead: timedelta) -> datetime:
    return (datetime.now(UTC) + ahead).replace(microsecond=0)

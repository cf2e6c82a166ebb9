"""The HTTP API under load beside a bare route, and a team's list of a million jobs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import psycopg
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from bench.figures import Figure, against, at_least, at_most
from bench.load import CONNECTIONS, Load, Request, load
from core.clock import SystemClock, rfc3339
from core.ids import new_id
from core.jobs.models import Job
from core.settings import Settings
from meetbot_server import teams
from meetbot_server.demo.run import api_client
from meetbot_server.stack import Stack, answers
from meetbot_server.supervisor import ChildSpec, python

GROUPS: Final = ("http", "million")
BARE_PORT: Final = 8099
SECONDS: Final = 5.0
ROUNDS: Final = 3
JOBS: Final = 1_000
MILLION: Final = 1_000_000
PAGES: Final = 20
PAGE_MS: Final = 50
# A million jobs in two years.
APART: Final = timedelta(seconds=60)
MEET: Final = "https://meet.google.com/abc-defg-hij"
# Of a thousand jobs; what is not named is rare.
STATUSES: Final = {"completed": 900, "cancelled": 60, "failed": 37, "queued": 2, "recording": 1}
PLATFORMS: Final = {"meet": 500, "teams": 300, "zoom": 190, "jitsi": 10}


async def measure(
    settings: Settings, groups: Collection[str], say: Callable[[str], None]
) -> list[Figure]:
    """The figures of the given groups, on one stack."""
    figures: list[Figure] = []
    # Test jobs need no room then.
    simulated = settings.sandbox.model_copy(update={"simulated": True})
    given = settings.model_copy(update={"sandbox": simulated})
    async with Stack(given, SystemClock(), say) as stack:
        team = await teams.create(stack.settings, SystemClock(), "Bench")
        async with api_client(stack.settings, team) as api:
            if "http" in groups:
                figures += await _http(stack, team, api, say)
            if "million" in groups:
                figures += await _million(stack, api, say)
    return figures


async def _http(
    stack: Stack, team: teams.NewTeam, client: httpx.AsyncClient, say: Callable[[str], None]
) -> list[Figure]:
    """Turn by turn, so that what else the machine does hits all of them."""
    ids = await _seeded(stack, client, JOBS)
    key = {"authorization": f"Bearer {team.test_key.get_secret_value()}"}
    new = json.dumps(_tomorrow()).encode()
    api = f"http://{stack.settings.api.host}:{stack.settings.api.port}"
    bare = f"http://127.0.0.1:{BARE_PORT}"
    requests: dict[str, tuple[str, Callable[[], Request], int]] = {
        "bare job": (bare, lambda: Request("GET", f"/jobs/{_any(ids)}", {}), 200),
        "bare list": (bare, lambda: Request("GET", "/jobs", {}), 200),
        "GET /jobs/{id}": (api, lambda: Request("GET", f"/api/v1/jobs/{_any(ids)}", key), 200),
        "GET /jobs": (api, lambda: Request("GET", "/api/v1/jobs", key), 200),
        "POST /jobs": (api, lambda: Request("POST", "/api/v1/jobs", key, new), 201),
    }
    found: dict[str, list[Load]] = {name: [] for name in requests}
    async with _bare_route(stack):
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}: {CONNECTIONS} connections")
            for name, (origin, make, expected) in requests.items():
                found[name].append(await load(origin, make, seconds=SECONDS, expected=expected))
    figures: list[Figure] = []
    for name, base in (("GET /jobs/{id}", "bare job"), ("GET /jobs", "bare list")):
        figures.append(
            at_least(
                *(name, [one.rate for one in found[name]], "a second", 0.5),
                baseline=base,
                baseline_samples=[one.rate for one in found[base]],
                note=f"{CONNECTIONS} connections",
            )
        )
        figures.append(_p99(name, found[name], base, found[base]))
    made = found["POST /jobs"]
    figures.append(
        against(
            *("POST /jobs", [one.rate for one in made], "a second", "bare job"),
            [one.rate for one in found["bare job"]],
            note=f"{CONNECTIONS} connections; makes a flow run each",
        )
    )
    return [*figures, _p99("POST /jobs", made, "bare job", found["bare job"])]


def _p99(name: str, loads: Sequence[Load], base: str, base_loads: Sequence[Load]) -> Figure:
    times, base_times = [one.p99_ms for one in loads], [one.p99_ms for one in base_loads]
    return against(f"{name}, p99", times, "ms", base, base_times)


@asynccontextmanager
async def _bare_route(stack: Stack) -> AsyncIterator[None]:
    spec = ChildSpec(
        name="bare",
        command=python("-m", "bench.bare", str(BARE_PORT)),
        environment=stack.child_environment(),
        ready=answers(f"http://127.0.0.1:{BARE_PORT}/docs"),
    )
    await stack.supervisor.start(spec)
    yield


async def _million(
    stack: Stack, client: httpx.AsyncClient, say: Callable[[str], None]
) -> list[Figure]:
    """Pages of one team's list of a million jobs, at its beginning and deep inside."""
    say("a million jobs")
    await _seeded(stack, client, MILLION)
    halfway = datetime.now(UTC) - MILLION / 2 * APART
    queries: dict[str, dict[str, str]] = {
        "newest": {},
        "failed on zoom": {"status": "failed", "platform": "zoom"},
        "recording": {"status": "recording"},
        "on jitsi": {"platform": "jitsi"},
        "older than half of them": {"createdBefore": rfc3339(halfway)},
    }
    figures: list[Figure] = []
    for name, query in queries.items():
        times = await _pages(client, query)
        slowest = f"{len(times)} pages of 50, the slowest {max(times):.0f} ms"
        limit = at_most(f"list of a million, {name}", times, "ms", PAGE_MS, note=slowest)
        figures.append(replace(limit, samples=()))
    return figures


async def _pages(api: httpx.AsyncClient, query: dict[str, str]) -> list[float]:
    """The times of the first pages, one after the other."""
    times: list[float] = []
    cursor: str | None = None
    for _ in range(PAGES):
        asked = query | ({"cursor": cursor} if cursor else {})
        began = time.monotonic()
        answer = await api.get("/api/v1/jobs", params=asked)
        times.append((time.monotonic() - began) * 1000)
        answer.raise_for_status()
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            break
    return times


async def _seeded(stack: Stack, client: httpx.AsyncClient, count: int) -> list[str]:
    """So many jobs beside a real one, alike but for what lists look at; their ids."""
    answer = await client.post("/api/v1/jobs", json=_tomorrow())
    answer.raise_for_status()
    url = stack.settings.database_url
    if url is None:
        raise RuntimeError("the stack has no database")
    return await asyncio.to_thread(_copy, url, answer.json()["id"], count)


def _copy(url: SecretStr, like: str, count: int) -> list[str]:
    """Copies of a job, `APART` from each other into the past, over as many platforms and ends."""
    dice = random.Random(1)
    statuses = dice.choices(list(STATUSES), list(STATUSES.values()), k=count)
    platforms = dice.choices(list(PLATFORMS), list(PLATFORMS.values()), k=count)
    now = datetime.now(UTC)
    moments = [now - (count - number) * APART for number in range(count)]
    ids = [new_id("job", at) for at in moments]
    own = {"id", "external_id", "status", "platform", "created_at"}
    columns = [column.name for column in Job.metadata.tables["jobs"].columns]
    same = sql.SQL(", ").join(sql.Identifier(name) for name in columns if name not in own)
    address = make_url(url.get_secret_value()).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False)) as connection:
        connection.execute(
            "CREATE TEMP TABLE seeds (id text, status text, platform text, created_at timestamptz)"
        )
        with connection.cursor().copy("COPY seeds FROM STDIN") as copy:
            for row in zip(ids, statuses, platforms, moments, strict=True):
                copy.write_row(row)
        connection.execute(
            sql.SQL(
                "INSERT INTO jobs (id, external_id, status, platform, created_at, {same}) "
                "SELECT s.id, s.id, s.status, s.platform, s.created_at, {same} FROM seeds s, "
                "(SELECT {same} FROM jobs WHERE id = %s) j"
            ).format(same=same),
            (like,),
        )
        connection.commit()
        # What a busy server's autovacuum has done long ago.
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE jobs")
    return ids


def _tomorrow() -> dict[str, str]:
    return {"meetingUrl": MEET, "joinAt": rfc3339(datetime.now(UTC) + timedelta(days=1))}


def _any(ids: Sequence[str]) -> str:
    return random.choice(ids)

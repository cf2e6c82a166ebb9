"""Which way a job's bot speaks, and what its run hears of it (D3, D9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr, ValidationError
from sqlmodel import col, select

from api.app import create_app
from bot.control import CompetingBotSeen, ConsentAnswered, Verb
from core.clock import SystemClock
from core.database import Database
from core.errors import StaleAttempt, Unavailable
from core.jobs import commands
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import ApiSettings, BotSettings, Settings, StorageSettings
from core.webhooks.models import Delivery
from flows.channel import DatabaseChannel
from flows.lines import Line, api_url, open_line, speaks_http
from flows.resources import Resources
from tests.support.api_server import running_api
from tests.support.channel_conformance import heard, moved, snapshot
from tests.support.clock import ManualClock
from tests.support.gate import Gate
from tests.support.jobs import JobBook

LABELLED = "line=http"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("bot", "labels", "http"),
    [
        (BotSettings(), {"line": "http"}, False),
        (BotSettings(channel="http"), {}, True),
        (BotSettings(http_metadata=LABELLED), {"line": "http"}, True),
        (BotSettings(http_metadata=LABELLED), {"line": "other"}, False),
        (BotSettings(http_metadata=LABELLED), {}, False),
        (BotSettings(http_metadata="n=1"), {"n": 1}, True),
    ],
)
def test_a_setting_or_a_label_of_the_job_says_which_way(
    bot: BotSettings, labels: dict[str, Any], http: bool
) -> None:
    assert speaks_http(bot, labels) is http


@pytest.mark.unit
def test_bots_reach_the_api_where_customers_do_unless_told_otherwise() -> None:
    public = ApiSettings(public_url="https://api.example")
    assert api_url(Settings(api=public)) == "https://api.example"
    inside = BotSettings.model_validate({"api_url": "http://api:8080"})
    assert api_url(Settings(api=public, bot=inside)) == "http://api:8080"
    for wrong in ({"api_url": "ftp://api"}, {"http_metadata": "line"}, {"channel": "pigeon"}):
        with pytest.raises(ValidationError):
            BotSettings.model_validate(wrong)


@dataclass
class Attempt:
    """An attempt's line to a real API behind a gate; `woken` counts its events."""

    line: Line
    book: JobBook
    job: Job
    gate: Gate
    woken: list[str] = field(default_factory=list)


@pytest.fixture(params=["database", "http"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def attempt(
    way: str,
    database: Database,
    database_url: SecretStr,
    box: SecretBox,
    encryption_key: SecretStr,
    clock: ManualClock,
    tmp_path: Path,
) -> AsyncIterator[Attempt]:
    book = await JobBook.open(database, box, clock)
    job = await book.add()
    await book.take(job)
    job = await book.read(job)
    settings = Settings(
        data_dir=tmp_path,
        database_url=database_url,
        encryption_keys=(encryption_key,),
        storage=StorageSettings(link_secret=SecretStr("a secret for links")),
    )
    async with _api(settings, clock) as gate:
        told = {"channel": way, "api_url": gate.origin}
        resources = Resources(
            settings=settings.model_copy(update={"bot": BotSettings.model_validate(told)}),
            clock=SystemClock(),
            database=database,
            box=box,
            storage=cast("Any", None),
            courier=cast("Any", None),
        )
        direct = DatabaseChannel(database, clock, job.id, job.fence, lease_seconds=10)
        woken: list[str] = []
        async with open_line(resources, job, direct, lambda: woken.append("event")) as line:
            yield Attempt(line, book, job, gate, woken)


@asynccontextmanager
async def _api(settings: Settings, clock: ManualClock) -> AsyncIterator[Gate]:
    app = create_app(settings, clock=clock, dispatcher=lambda _: cast("Any", _NoRuns()))
    async with app.router.lifespan_context(app), running_api(app) as origin:
        gate = Gate(origin)
        gate.start()
        try:
            yield gate
        finally:
            gate.stop()


class _NoRuns:
    """No job is made over this API."""

    async def __aenter__(self) -> _NoRuns:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


@pytest.mark.integration
async def test_what_may_have_a_webhook_wakes_its_sender(attempt: Attempt) -> None:
    """PL-20, LC-30, D9: at once, and after it was written; snapshots have none."""
    line, now = attempt.line, attempt.book.now
    await line.report(moved(Event.BOT_STARTED))
    await line.report(snapshot())
    await line.report(ConsentAnswered(now, True, "prt_1", "Ada"))
    await line.report(CompetingBotSeen(now, "prt_2", "Otter.ai", "Otter", leaving=True))
    assert len(attempt.woken) == 3
    assert line.progress is not None
    assert line.progress.recorded_seconds == 1.0
    async with attempt.book.database.begin() as session:
        own = select(Delivery).where(Delivery.job_id == attempt.job.id).order_by(col(Delivery.seq))
        sent: list[dict[str, Any]] = [one.data for one in (await session.exec(own)).all()]
    assert [data["event"] for data in sent] == [
        "job.status_changed",
        "bot.recording_permission_response",
        "bot.competing_bot_detected",
    ]
    assert (sent[1]["granted"], sent[2]["leftMeeting"]) == (True, True)


@pytest.mark.integration
async def test_it_is_told_commands_and_that_it_is_outdated(attempt: Attempt) -> None:
    """The token is of this attempt: when a newer one has the job, it is worth nothing."""
    line, book, job = attempt.line, attempt.book, attempt.job
    await line.report(moved(Event.BOT_STARTED))
    async with book.database.begin() as session:
        issued = await commands.issue(session, job.id, Verb.LEAVE, now=book.now)
    (told,) = await heard(line.commands(), 1)
    assert told.id == issued.id
    await book.take(job)
    with pytest.raises(StaleAttempt):
        await line.report(moved(Event.ADMITTED))
    with pytest.raises(StaleAttempt):
        await line.renew()
    assert attempt.woken == ["event"]
    assert (await book.read(job)).status is Status.JOINING


@pytest.mark.integration
async def test_only_the_way_over_http_needs_the_api(attempt: Attempt, way: str) -> None:
    """And what could not be told is told later, once."""
    report = moved(Event.BOT_STARTED)
    with attempt.gate.closed():
        if way == "http":
            with pytest.raises(Unavailable):
                await attempt.line.report(report)
            assert attempt.woken == []
        else:
            await attempt.line.report(report)
    if way == "http":
        await attempt.line.report(report)
    assert attempt.woken == ["event"]
    assert (await attempt.book.read(attempt.job)).status is Status.JOINING

"""How a job has to have ended: the same story in the API, the webhooks, Prefect and the bill."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any, Final

from core.billing.models import UsageKind
from core.jobs.lifecycle import TERMINAL
from tests.e2e.customer import Customer
from tests.e2e.operator import Operator, Run
from tests.support.stack import RunningStack

PREFECT_STATES: Final = {"completed": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}
LAST_EVENTS: Final = {"completed": "job.finalized", "failed": "job.failed"}
NAMES: Final = ("Ada Park", "Ben Ortiz", "Cleo Marsh")

Json = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """What a test expects. `detail` is a pattern that the failure's message has to hold."""

    status: str
    exit_reason: str
    failure: str | None = None
    detail: str = ""
    manifest: bool = True
    # Texts of this job that Prefect must not know, besides the keys and names of everybody.
    hidden: tuple[str, ...] = field(default=())
    # Storage may have been away when the run ended, so that another one delivered.
    may_be_postponed: bool = False
    # The receiver may have been away: what is sent again comes after what is younger (WH-25).
    may_come_late: bool = False


async def ended(product: RunningStack, job_id: str, expected: Ended) -> tuple[Json, Run]:
    """Check everything that must agree about the end of a job; the job and its run."""
    customer, operator = Customer(product), Operator(product)
    job = await customer.until_over(job_id)
    _check_job(job, expected)
    await _check_webhooks(customer, job, expected)
    run = await operator.settled_run(job_id)
    _check_run(run, job, expected)
    shown = run.everything
    for secret in (*product.secrets, *NAMES, *expected.hidden):
        assert secret not in shown, "Prefect was told a secret or a name"
    await _check_usage(operator, job)
    assert bool(job["manifestUri"]) is expected.manifest
    objects = await operator.objects(job_id)
    assert not [name for name in objects if name.startswith(".journal/")]
    assert ("manifest.json" in objects) is expected.manifest
    evidence = {name for name in objects if name.startswith("evidence/")}
    assert evidence == {f"evidence/{one['name']}" for one in job["evidence"]}
    assert all(one["uri"] in shown for one in job["evidence"]), "linked from the run"
    if not expected.manifest:
        assert set(objects) == evidence
    work = product.settings.work_dir / job_id
    assert not await asyncio.to_thread((work / "final").exists)
    return job, run


def _check_job(job: Json, expected: Ended) -> None:
    told = (job["status"], job["failure_code"], job["exitReason"])
    assert told == (expected.status, expected.failure, expected.exit_reason), job["failure_detail"]
    if expected.failure is None:
        assert job["failure_detail"] is None
    else:
        assert re.search(expected.detail, job["failure_detail"]), job["failure_detail"]
    assert job["endedAt"] is not None
    # Test keys are never billed (AU-06).
    assert (job["billed"], job["hoursBilled"], job["amountUsd"]) == (False, 0, 0)


async def _check_webhooks(customer: Customer, job: Json, expected: Ended) -> None:
    """Every one verified, in order, and the last ones as the status wants them (LC-17, LC-18)."""
    last = LAST_EVENTS.get(expected.status, "job.status_changed")
    await customer.until_told(job["id"], last, expected.status)
    webhooks = customer.webhooks(job["id"])
    assert all(one.verified for one in webhooks)
    if expected.may_come_late:
        webhooks = sorted(webhooks, key=lambda one: one.body["emittedAt"])
    stamps = [one.body["emittedAt"] for one in webhooks]
    assert stamps == sorted(stamps)
    statuses = [w.body["data"]["status"] for w in webhooks if w.event == "job.status_changed"]
    assert statuses[-1] == expected.status
    assert [status for status in statuses if status in TERMINAL] == [expected.status]
    finals = [one for one in webhooks if one.event in LAST_EVENTS.values()]
    assert [one.event for one in finals] == [last] * (expected.status in LAST_EVENTS)
    if finals:
        assert webhooks[-1] is finals[0]
        data = finals[0].body["data"]
        assert data["manifestUri"] == job["manifestUri"]
        assert data["billed"] is False
        if expected.failure is not None:
            told = (data["failure_code"], data["failure_detail"])
            assert told == (expected.failure, job["failure_detail"])


def _check_run(run: Run, job: Json, expected: Ended) -> None:
    assert run.run["name"] == job["id"]
    assert run.run["parameters"] == {"job_id": job["id"]}
    if expected.may_be_postponed and run.run["state"]["name"] == "Postponed":
        return
    assert run.state == PREFECT_STATES[expected.status], run.message
    if expected.failure is not None:
        assert run.message == f"{expected.failure}: {job['failure_detail']}"


async def _check_usage(operator: Operator, job: Json) -> None:
    """One event for the recording, at most one for a transcript, nothing to pay (BL-02, D15)."""
    events = await operator.usage(job["id"])
    assert [event.kind for event in events].count(UsageKind.RECORDING) == 1
    assert len({event.kind for event in events}) == len(events)
    for event in events:
        assert (event.billed, event.livemode, float(event.amount_usd)) == (False, False, 0)
        assert event.seconds == (job["durationSeconds"] or 0)

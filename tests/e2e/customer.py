"""What a customer does with the product: dispatch, look, tell the bot, receive webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from core.clock import SystemClock
from core.jobs.lifecycle import TERMINAL
from meetbot_server.demo.receiver import Received
from tests.support.stack import RunningStack

POLL_SECONDS: Final = 0.25
# Waits are generous, because machines that run tests are busy; none measures speed.
JOIN_SECONDS: Final = 90
END_SECONDS: Final = 120

Json = dict[str, Any]


class Customer:
    """One customer of the running product, with its test key."""

    def __init__(self, product: RunningStack) -> None:
        self._product = product
        self._clock = SystemClock()

    async def dispatch(self, meeting_url: str, **changes: Any) -> str:
        """Send a bot; audio only and without a transcript unless `changes` say otherwise."""
        body = {
            "meetingUrl": meeting_url,
            "displayName": "Notes",
            "webhooks": {"onFinalize": self._product.hook},
            "recording": {"video": "off"},
        } | changes
        answer = await self._product.api.post("/api/v1/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def job(self, job_id: str) -> Json:
        answer = await self._product.api.get(f"/api/v1/jobs/{job_id}")
        answer.raise_for_status()
        job: Json = answer.json()
        return job

    async def job_from(self, source: str, seconds: float = 30) -> str:
        """The newest job that came that way, as soon as there is one; its id."""
        deadline = self._clock.monotonic() + seconds
        while True:
            answer = await self._product.api.get("/api/v1/jobs", params={"limit": 50})
            answer.raise_for_status()
            for job in answer.json()["data"]:
                if job["source"] == source:
                    return str(job["id"])
            assert self._clock.monotonic() < deadline, f"no job came by {source}"
            await asyncio.sleep(POLL_SECONDS)

    async def until(
        self, job_id: str, holds: Callable[[Json], bool], seconds: float, what: str
    ) -> Json:
        """The job as soon as `holds`; an AssertionError with its state when the time is over."""
        deadline = self._clock.monotonic() + seconds
        while True:
            job = await self.job(job_id)
            if holds(job):
                return job
            over = job["status"] in TERMINAL or self._clock.monotonic() > deadline
            assert not over, (
                f"{job_id} did not come to {what}: {job['status']} {job['failure_code']} "
                f"{job['failure_detail']}"
            )
            await asyncio.sleep(POLL_SECONDS)

    async def until_status(
        self, job_id: str, *statuses: str, seconds: float = JOIN_SECONDS
    ) -> Json:
        return await self.until(
            job_id, lambda job: job["status"] in statuses, seconds, " or ".join(statuses)
        )

    async def until_recorded(self, job_id: str, seconds: float) -> Json:
        """The job once its bot says that it has recorded so many seconds."""
        return await self.until(
            job_id,
            lambda job: (job["progress"] or {}).get("recordedSeconds", 0) >= seconds,
            JOIN_SECONDS + 2 * seconds,
            f"{seconds:g} recorded seconds",
        )

    async def until_over(self, job_id: str, seconds: float = END_SECONDS) -> Json:
        return await self.until_status(job_id, *(str(s) for s in TERMINAL), seconds=seconds)

    async def leave(self, job_id: str) -> None:
        answer = await self._product.api.post(f"/api/v1/jobs/{job_id}/leave-call")
        assert answer.status_code == 202, answer.text

    async def cancel(self, job_id: str) -> None:
        answer = await self._product.api.delete(f"/api/v1/jobs/{job_id}")
        assert answer.status_code == 204, answer.text

    def webhooks(self, job_id: str) -> list[Received]:
        """What arrived about a job, in order of arrival."""
        received = self._product.receiver.received
        return [one for one in received if one.body["data"].get("jobId") == job_id]

    async def until_told(self, job_id: str, event: str, status: str, seconds: float = 60) -> None:
        """Until a webhook of that event and status of the job has arrived."""
        deadline = self._clock.monotonic() + seconds
        while not any(
            one.event == event and one.body["data"].get("status") == status
            for one in self.webhooks(job_id)
        ):
            told = [(one.event, one.body["data"].get("status")) for one in self.webhooks(job_id)]
            assert self._clock.monotonic() < deadline, f"no {event} {status} among {told}"
            await asyncio.sleep(POLL_SECONDS)

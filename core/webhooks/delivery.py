"""Working off the outbox: claim what is due, send it, write down what came of it (WH-20 to 27).

Any number of processes may do this at once. A claim lasts longer than an attempt can; when its
holder dies, somebody else sends again, with the same delivery id.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.clock import Clock
from core.database import Database
from core.secrets import SecretBox
from core.settings import WebhookSettings
from core.webhooks.messages import message
from core.webhooks.models import Delivery, DeliveryAttempt, DeliveryStatus
from core.webhooks.schedule import next_delay
from core.webhooks.sending import Answer, Sender

BATCH: Final = 50
CONCURRENT: Final = 20
CONCURRENT_PER_RECEIVER: Final = 4
# How long one call goes on claiming; the next call goes on.
MOST_SECONDS: Final = 60
CLAIM_MARGIN_SECONDS: Final = 30


@dataclass(frozen=True)
class Tally:
    """What a drain did."""

    delivered: int = 0
    failed: int = 0
    # Not tried, because their receiver did not answer another one just now.
    postponed: int = 0


class Courier:
    """Delivers webhooks.

    Args:
        random: uniform in [0, 1), for the jitter of the schedule.
    """

    def __init__(
        self,
        database: Database,
        sender: Sender,
        box: SecretBox,
        settings: WebhookSettings,
        clock: Clock,
        *,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._sender = sender
        self._box = box
        self._settings = settings
        self._clock = clock
        self._random = random

    async def deliver_job(self, job_id: str) -> Tally:
        """Send what is due for one job, in order; for right after its transaction."""
        return await self._work_off(job_id)

    async def drain(self) -> Tally:
        """Send everything that is due, for all jobs."""
        return await self._work_off(None)

    async def _work_off(self, job_id: str | None) -> Tally:
        results: Counter[bool | None] = Counter()
        deadline = self._clock.monotonic() + MOST_SECONDS
        while self._clock.monotonic() < deadline:
            claimed = await self._claim(job_id)
            if not claimed:
                break
            results.update(await self._send_all(claimed))
        return Tally(results[True], results[False], results[None])

    async def _claim(self, job_id: str | None) -> Sequence[Delivery]:
        now = self._clock.now()
        async with self._database.begin() as session:
            statement = (
                select(Delivery)
                .where(
                    Delivery.status == DeliveryStatus.PENDING,
                    col(Delivery.next_attempt_at) <= now,
                    or_(col(Delivery.claimed_until).is_(None), col(Delivery.claimed_until) <= now),
                    or_(col(Delivery.attempts) > 0, ~_earlier_first_attempt_open()),
                )
                .order_by(col(Delivery.seq))
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            if job_id is not None:
                statement = statement.where(Delivery.job_id == job_id)
            rows = (await session.exec(statement)).all()
            for row in rows:
                row.claimed_until = self._until()
        return rows

    async def _send_all(self, deliveries: Sequence[Delivery]) -> list[bool | None]:
        gate = asyncio.Semaphore(CONCURRENT)
        receivers: dict[str, asyncio.Semaphore] = {}
        unreachable: set[str] = set()

        async def send(delivery: Delivery) -> bool | None:
            host = urlsplit(delivery.url).netloc
            receiver = receivers.setdefault(host, asyncio.Semaphore(CONCURRENT_PER_RECEIVER))
            async with receiver, gate:
                if host in unreachable:
                    await self._postpone(delivery)
                    return None
                answer = await self._send(delivery)
            if answer is None:
                return None
            if answer.status_code is None:
                unreachable.add(host)
            return answer.accepted

        return await asyncio.gather(*(send(delivery) for delivery in deliveries))

    async def _send(self, delivery: Delivery) -> Answer | None:
        """One attempt; None when somebody else has taken the delivery over."""
        attempt = delivery.attempts + 1
        async with self._database.begin() as session:
            row = await self._still_ours(session, delivery)
            if row is None:
                return None
            row.claimed_until = self._until()
            team = await session.get_one(Team, delivery.team_id)
            secrets = webhook_secrets(team, self._box, now=self._clock.now())
        sent = message(
            delivery, secrets, attempt=attempt, legacy_fields=self._settings.legacy_fields
        )
        answer = await self._sender.post(delivery.url, sent.body, sent.headers)
        await self._write_down(delivery.id, attempt, answer)
        return answer

    async def _postpone(self, delivery: Delivery) -> None:
        """Give it back untried: a dead receiver must not hold up everybody else's webhooks."""
        async with self._database.begin() as session:
            row = await self._still_ours(session, delivery)
            if row is not None:
                pause = timedelta(seconds=self._settings.first_retry_seconds)
                row.claimed_until, row.next_attempt_at = None, self._clock.now() + pause

    async def _still_ours(self, session: AsyncSession, delivery: Delivery) -> Delivery | None:
        """The locked row, unless our claim ran out and somebody else took it."""
        row = await session.get(Delivery, delivery.id, with_for_update=True)
        if row is None or row.attempts != delivery.attempts:
            return None
        return row if row.claimed_until == delivery.claimed_until else None

    def _until(self) -> datetime:
        hold = self._settings.timeout_seconds + CLAIM_MARGIN_SECONDS
        return self._clock.now() + timedelta(seconds=hold)

    async def _write_down(self, delivery_id: str, attempt: int, answer: Answer) -> None:
        now = self._clock.now()
        async with self._database.begin() as session:
            row = await session.get(Delivery, delivery_id, with_for_update=True)
            # Gone when its job was erased meanwhile.
            if row is None or row.attempts >= attempt:
                return
            row.attempts = attempt
            row.claimed_until = None
            session.add(
                DeliveryAttempt(
                    delivery_id=delivery_id,
                    attempt=attempt,
                    at=now,
                    status_code=answer.status_code,
                    latency_ms=answer.latency_ms,
                    error=answer.error,
                )
            )
            delay = next_delay(attempt, self._settings.first_retry_seconds, self._random)
            if answer.accepted:
                row.status, row.next_attempt_at = DeliveryStatus.DELIVERED, None
            elif answer.gone or delay is None:
                row.status, row.next_attempt_at = DeliveryStatus.EXHAUSTED, None
            else:
                row.next_attempt_at = now + timedelta(seconds=delay)


def _earlier_first_attempt_open() -> ColumnElement[bool]:
    """An earlier delivery of the same job waits for its first attempt: it goes first (WH-25)."""
    earlier = aliased(Delivery)
    return exists().where(
        col(earlier.job_id) == col(Delivery.job_id),
        col(earlier.seq) < col(Delivery.seq),
        col(earlier.attempts) == 0,
        col(earlier.status) == DeliveryStatus.PENDING,
    )

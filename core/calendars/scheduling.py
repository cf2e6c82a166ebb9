"""Events of a connection to jobs: made, moved and cancelled until they are as decided (CAL-16).

Only jobs whose bot is not on its way yet are changed; for the others a new one is made where the
meeting is at another time or place now. All of it may be done any number of times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import SecretStr
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.calendars.bots import Bots
from core.calendars.events import Event, Facts
from core.calendars.models import CalendarConnection, CalendarEvent, CalendarRule
from core.calendars.rules import Decision, RuleAction, Why, decide
from core.errors import BadInput
from core.ids import new_id
from core.invites.placing import Placing, waits
from core.invites.refusals import InviteRefused, Reason
from core.jobs.creation import NewJob
from core.jobs.lifecycle import BEFORE_ROOM
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import Settings


@dataclass
class Placed:
    """What became of jobs."""

    created: list[Job] = field(default_factory=list)
    changed: list[Job] = field(default_factory=list)
    cancelled: list[Job] = field(default_factory=list)

    def add(self, other: Placed) -> None:
        self.created += other.created
        self.changed += other.changed
        self.cancelled += other.cancelled


def hashed(provider_id: str) -> str:
    """How a provider's id is kept: it may be of any length."""
    return hashlib.sha256(provider_id.encode(errors="replace")).hexdigest()


@dataclass(frozen=True)
class Scheduler:
    """Works on one connection, in a transaction that holds `placing.one_at_a_time`."""

    session: AsyncSession
    box: SecretBox
    settings: Settings
    connection: CalendarConnection
    rules: Sequence[CalendarRule]
    now: datetime

    async def take(self, events: Iterable[Event]) -> Placed:
        """Events as they are now."""
        done = Placed()
        latest = {hashed(one.id): one for one in events}
        known = await self._rows(latest)
        for key, event in latest.items():
            row = known.get(key)
            link = self._bots.link_in(*event.parts)
            me = self.connection.account
            facts = Facts.of(event, me, link.written if link is not None else None)
            # What has begun is joined where nobody could know of it before.
            late = row is None or (row.starts_at, row.ends_at) != (event.start, event.end)
            if row is None:
                row = CalendarEvent(
                    id=new_id("cev"),
                    connection_id=self.connection.id,
                    team_id=self.connection.team_id,
                    livemode=self.connection.livemode,
                    provider_id=key,
                    facts="",
                    starts_at=event.start,
                    ends_at=event.end,
                    action=RuleAction.SKIP,
                    why=Why.NO_RULE,
                    created_at=self.now,
                    updated_at=self.now,
                )
            row.starts_at, row.ends_at = event.start, event.end
            row.facts = self.box.seal(SecretStr(facts.model_dump_json()))
            await self._decide(row, facts, done, late=late)
        return done

    async def drop(self, provider_ids: Iterable[str]) -> Placed:
        """Events that are gone."""
        known = await self._rows({hashed(one): None for one in provider_ids})
        return await self.forget(list(known.values()))

    async def forget(self, rows: Sequence[CalendarEvent]) -> Placed:
        """Remove events; the bots of those that are still to come are called off."""
        done = Placed()
        for row in rows:
            if row.starts_at <= self.now or await self._withdraw(row, done):
                await self.session.delete(row)
        await self.session.flush()
        return done

    async def decide_again(self, rows: Sequence[CalendarEvent]) -> Placed:
        """Events whose rules have changed, or that could not be recorded before."""
        done = Placed()
        for row in rows:
            await self._decide(row, self.facts_of(row), done, late=False)
        return done

    def facts_of(self, row: CalendarEvent) -> Facts:
        return Facts.model_validate_json(self.box.open(row.facts).get_secret_value())

    @property
    def _bots(self) -> Bots:
        return Bots(self.settings, self.connection)

    @property
    def _placing(self) -> Placing:
        return Placing(self.session, self.box, self.settings, self.now)

    async def _rows(self, keys: Mapping[str, object]) -> dict[str, CalendarEvent]:
        statement = (
            select(CalendarEvent)
            .where(
                CalendarEvent.connection_id == self.connection.id,
                col(CalendarEvent.provider_id).in_(keys),
            )
            .with_for_update()
        )
        return {row.provider_id: row for row in (await self.session.exec(statement)).all()}

    async def _decide(self, row: CalendarEvent, facts: Facts, done: Placed, *, late: bool) -> None:
        decision = decide(facts, [rule.terms for rule in self.rules])
        row.rule_id, row.updated_at = decision.rule_id, self.now
        row.action, row.why = decision.action, decision.why
        self.session.add(row)
        if row.ends_at <= self.now or (row.starts_at <= self.now and not late):
            # It has begun: its bot is in it, or nobody wanted one in time.
            if row.placed_at is not None and row.placed_at > self.now:
                # It was to come, and has been moved to where it is over.
                await self._withdraw(row, done)
            if row.action is RuleAction.RECORD and (row.job_id is None or row.cancelled):
                row.action, row.why = RuleAction.SKIP, Why.IN_PAST
        elif row.action is RuleAction.RECORD:
            await self._record(row, facts, decision, done)
        elif row.job_id is not None and not row.cancelled:
            await self._withdraw(row, done)
        await self.session.flush()

    async def _record(
        self, row: CalendarEvent, facts: Facts, decision: Decision, done: Placed
    ) -> None:
        rule = next(one for one in self.rules if one.id == decision.rule_id)
        new = self._bots.request(facts, rule, row.ends_at)
        if new is None:
            row.action, row.why = RuleAction.SKIP, Why.NO_MEETING_URL
            if row.job_id is not None and not row.cancelled:
                await self._withdraw(row, done)
            return
        try:
            if row.job_id is None or row.cancelled:
                await self._make(row, facts, new, done)
            else:
                await self._follow(row, facts, new, done)
        except BadInput as refused:
            exhausted = (
                isinstance(refused, InviteRefused) and refused.reason is Reason.CREDIT_EXHAUSTED
            )
            row.action = RuleAction.SKIP
            row.why = Why.CREDIT_EXHAUSTED if exhausted else Why.CANNOT_RECORD

    async def _follow(self, row: CalendarEvent, facts: Facts, new: NewJob, done: Placed) -> None:
        """The job that there is, as it should be; another one where that one cannot be changed."""
        job = await self.session.get_one(Job, row.job_id, with_for_update=True)
        moved = row.placed_at != row.starts_at
        same_place = job.meeting_url == new.meeting_url or (
            new.room_url is not None and job.room_url == new.room_url
        )
        placing = self._placing
        apart = not await placing.shared(job.id) and (
            (same_place and not moved) or not await placing.elsewhere(new, row.starts_at, job)
        )
        if waits(job, new.platform) and apart:
            if await self._change(job, row, new):
                done.changed.append(job)
            return
        if (same_place and not moved) or (not moved and job.status not in BEFORE_ROOM):
            # A person may have cancelled it, or it is in the meeting: both stay as they are.
            return
        if await self._withdraw(row, done):
            await self._make(row, facts, new, done)

    async def _change(self, job: Job, row: CalendarEvent, new: NewJob) -> bool:
        """Write into a job that waits what differs; its run follows by itself (design.md D2)."""
        wanted = {
            "join_at": row.starts_at if row.starts_at > self.now else None,
            "driver": new.driver,
            "meeting_url": new.meeting_url,
            "room_url": new.room_url,
            "display_name": new.display_name,
            "leave_behavior": new.leave_behavior,
            "auto_leave": new.auto_leave.model_dump(mode="json"),
            "recording": new.recording.model_dump(mode="json"),
            "labels": {**job.labels, **new.labels},
        }
        # What the rule leaves to the team stays as it was when the job was made.
        if new.transcription is not None:
            wanted["transcription"] = new.transcription.model_dump(mode="json")
        if new.webhooks is not None:
            wanted["webhooks"] = dict(new.webhooks)
        different = [name for name, value in wanted.items() if getattr(job, name) != value]
        for name in different:
            setattr(job, name, wanted[name])
        row.placed_at = row.starts_at
        if different:
            job.updated_at = self.now
        return bool(different)

    async def _make(self, row: CalendarEvent, facts: Facts, new: NewJob, done: Placed) -> None:
        # A failure takes back what it has begun, and nothing else of this transaction.
        async with self.session.begin_nested():
            job, created = await self._placing.job_for(new, row.starts_at, facts.name)
        row.job_id, row.placed_at, row.cancelled = job.id, row.starts_at, False
        await self.session.flush()
        if created:
            done.created.append(job)

    async def _withdraw(self, row: CalendarEvent, done: Placed) -> bool:
        """Call the bot off, unless others want it or it is in the meeting; False: not now."""
        if row.job_id is None or row.cancelled:
            return True
        withdrawn = await self._placing.withdraw(row.job_id)
        if withdrawn is None:
            return False
        job, cancelled = withdrawn
        row.cancelled = True
        if cancelled:
            done.cancelled.append(job)
        return True

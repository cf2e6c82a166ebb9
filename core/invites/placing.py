"""Jobs for meetings that calendars bring, by mail or by a connection: one job each (CAL-06, 17).

A claim is what wants a meeting recorded: an occurrence of an invitation, or an event of a connected
calendar. Several may share a job; it is cancelled when none is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import exists, or_
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing import gate
from core.calendars.models import CalendarEvent
from core.errors import InvalidState
from core.invites.models import InvitedMeeting
from core.invites.refusals import InviteRefused, Reason
from core.jobs import service
from core.jobs.creation import NewJob, create_job
from core.jobs.lifecycle import BEFORE_ROOM, TERMINAL, Status
from core.jobs.models import Job, Source
from core.secrets import SecretBox
from core.settings import Settings

# Names for one occurrence that was cancelled and comes back.
MOST_RETURNS: Final = 20


async def one_at_a_time(session: AsyncSession, team_id: str) -> None:
    """Wait for the team's other placements until the transaction ends: two claims on one meeting
    must not make two jobs."""
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(f"invites:{team_id}"))))


def waits(job: Job, platform: str) -> bool:
    """Whether a job can still be changed: no bot is on its way."""
    return job.status is Status.QUEUED and job.fence == 0 and job.platform == platform


@dataclass(frozen=True)
class Placing:
    """What it takes to make jobs and to take them back."""

    session: AsyncSession
    box: SecretBox
    settings: Settings
    now: datetime

    async def job_for(self, new: NewJob, start: datetime, name: str) -> tuple[Job, bool]:
        """The one job of a meeting that begins at `start`, and whether it is new.

        Args:
            new: what to make; its times and its `externalId` come from `start` and `name`.

        Raises:
            InviteRefused: the team cannot pay, or the meeting came back too often.
            BadInput: the team has no storage.
        """
        job = await self._same_meeting(new, start)
        if job is not None:
            return job, False
        return await self._create(new, start, name), True

    async def elsewhere(self, new: NewJob, start: datetime, job: Job) -> bool:
        """Whether the meeting has another job, where `job` is to become one of it.

        So it is when two claims shared a job, and the other one has moved first.
        """
        return await self._same_meeting(new, start, but=job.id) is not None

    async def shared(self, job_id: str) -> bool:
        """Whether another claim wants the job besides the one that asks."""
        others = 0
        for count in (
            select(func.count()).where(
                InvitedMeeting.job_id == job_id, col(InvitedMeeting.cancelled).is_(False)
            ),
            select(func.count()).where(
                CalendarEvent.job_id == job_id, col(CalendarEvent.cancelled).is_(False)
            ),
        ):
            others += (await self.session.exec(count)).one()
        return others > 1

    async def withdraw(self, job_id: str) -> tuple[Job, bool] | None:
        """One claim less: the job, and whether that has cancelled it.

        None: it went on in this very moment, and nothing was done.
        """
        job = await self.session.get_one(Job, job_id, with_for_update=True)
        if await self.shared(job_id) or job.status not in BEFORE_ROOM:
            return job, False
        try:
            return (await service.request_cancel(self.session, job.id, now=self.now)).job, True
        except InvalidState:
            return None

    async def _same_meeting(
        self, new: NewJob, start: datetime, *, but: str | None = None
    ) -> Job | None:
        """A job that another claim of the team made for the same meeting (CAL-17).

        One that is over counts while something claims it: a person has cancelled it.
        """
        claimed = or_(
            exists().where(
                col(InvitedMeeting.job_id) == Job.id,
                col(InvitedMeeting.starts_at) == start,
                col(InvitedMeeting.cancelled).is_(False),
            ),
            exists().where(
                col(CalendarEvent.job_id) == Job.id,
                col(CalendarEvent.placed_at) == start,
                col(CalendarEvent.cancelled).is_(False),
            ),
        )
        # A scripted room is made for its job alone.
        same_room = (
            col(Job.room_url) == new.room_url
            if new.room_url is not None
            else col(Job.meeting_url) == new.meeting_url
        )
        statement = (
            select(Job)
            .where(
                Job.team_id == new.team_id,
                Job.livemode == new.livemode,
                same_room,
                col(Job.id).is_distinct_from(but),
                or_(
                    (col(Job.join_at) == start) & col(Job.status).not_in(TERMINAL),
                    claimed,
                ),
                col(Job.source) != Source.API,
            )
            .order_by(col(Job.status).in_(TERMINAL), col(Job.id))
            .limit(1)
        )
        return (await self.session.exec(statement)).one_or_none()

    async def _create(self, new: NewJob, start: datetime, name: str) -> Job:
        gated = self.settings.billing.gated and new.livemode
        if gated and not await gate.may_dispatch(self.session, new.team_id):
            raise InviteRefused(Reason.CREDIT_EXHAUSTED, gate.EXHAUSTED)
        placed = replace(new, join_at=start if start > self.now else None)
        for number in range(1, MOST_RETURNS + 1):
            named = replace(placed, external_id=name if number == 1 else f"{name}:{number}")
            job, created = await create_job(
                self.session, self.box, named, now=self.now, settings=self.settings
            )
            if created:
                return job
        raise InviteRefused(Reason.CANNOT_RECORD, "The meeting was cancelled too often.")

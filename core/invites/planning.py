"""From an invitation to jobs: made, moved and cancelled until they are as it says (CAL-06, 08, 16).

Only jobs whose bot is not on its way yet are changed; for the others a new one is made where the
meeting is at another time or place now. Runs follow their jobs (design.md D2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing import gate
from core.errors import InvalidState
from core.invites.links import Link, find_link
from core.invites.models import Invitation, InvitedMeeting
from core.invites.occurrences import SINGLE, Occurrence, counted_out, expand, is_over, repeats
from core.invites.reading import Series
from core.invites.refusals import InviteRefused, Reason
from core.jobs import service
from core.jobs.creation import NewJob, create_job
from core.jobs.leaving import leaving_policy
from core.jobs.lifecycle import BEFORE_ROOM, Status
from core.jobs.models import Job, Source
from core.platforms.registry import DetectionContext, spec_of
from core.secrets import SecretBox
from core.settings import Settings
from core.texts import plain_text

FARTHEST_AHEAD: Final = timedelta(days=365)
# Names for one occurrence that was cancelled and comes back.
MOST_RETURNS: Final = 20
SANDBOX: Final = "sandbox"


class Action(StrEnum):
    """What became of a job."""

    CREATED = "created"
    UPDATED = "updated"
    CANCELLED = "cancelled"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Change:
    """One job, after the plan."""

    action: Action
    job: Job
    starts_at: datetime


@dataclass
class Plan:
    """What was done for one invitation. `why_none`: what keeps its occurrences from having jobs."""

    changes: list[Change] = field(default_factory=list)
    why_none: set[Reason] = field(default_factory=set)

    def add(self, action: Action, job: Job, starts_at: datetime) -> None:
        self.changes.append(Change(action, job, starts_at))


@dataclass(frozen=True)
class Planner:
    """What planning needs besides the invitation."""

    session: AsyncSession
    box: SecretBox
    settings: Settings
    now: datetime
    # Whether meetings that have begun already are joined.
    late: bool = True

    async def plan(self, invitation: Invitation, series: Series) -> Plan:
        """Bring the jobs of `invitation`, which is locked, to what `series` says.

        Raises:
            InviteRefused: its dates cannot be read, or its team may not record.
            BadInput: the team has no storage.
        """
        done = Plan()
        until = self.now + (
            timedelta(days=self.settings.intake.horizon_days) if repeats(series) else FARTHEST_AHEAD
        )
        found = [] if invitation.cancelled else expand(series, self.now, until)
        wanted = self._wanted(series, found, done)
        rows = await self._rows(invitation)
        for key, row in rows.items():
            if key not in wanted and not row.cancelled and row.starts_at > self.now:
                await self._drop(row, done)
        for key, (occurrence, link) in wanted.items():
            await self._place(invitation, rows.get(key), occurrence, link, done)
        over = invitation.cancelled or is_over(series, until)
        if not found and not over:
            over = counted_out(series, self.now)
        invitation.planned_until = None if over else until
        invitation.updated_at = self.now
        if not found and over:
            done.why_none.add(Reason.IN_PAST)
        elif not found and not repeats(series):
            done.why_none.add(Reason.TOO_FAR_AHEAD)
        return done

    def _wanted(
        self, series: Series, found: list[Occurrence], done: Plan
    ) -> dict[str, tuple[Occurrence, Link]]:
        wanted: dict[str, tuple[Occurrence, Link]] = {}
        for one in found:
            # `expand` includes what ends at this very moment.
            if one.cancelled:
                continue
            if one.start <= self.now and not (self.late and self.now < one.end):
                done.why_none.add(Reason.IN_PAST)
                continue
            if one.all_day:
                done.why_none.add(Reason.ALL_DAY)
                continue
            link = self.link(series, one)
            if link is None:
                done.why_none.add(Reason.NO_MEETING_URL)
                continue
            wanted[one.key] = (one, link)
        return wanted

    def link(self, series: Series, one: Occurrence) -> Link | None:
        """An occurrence's own link, or that of its series."""
        sandbox = self.settings.sandbox.origin
        context = DetectionContext(
            sandbox_origin=sandbox,
            livemode=False,
            trusted_origins=self.settings.trusted_origins,
        )
        master = series.master
        own = find_link(one.event, context)
        return own or (find_link(master, context) if master is not None else None)

    async def _rows(self, invitation: Invitation) -> dict[str, InvitedMeeting]:
        statement = select(InvitedMeeting).where(InvitedMeeting.invitation_id == invitation.id)
        return {row.key: row for row in (await self.session.exec(statement)).all()}

    async def _place(
        self,
        invitation: Invitation,
        row: InvitedMeeting | None,
        one: Occurrence,
        link: Link,
        done: Plan,
    ) -> None:
        """One occurrence: its job as it should be."""
        if row is None or row.cancelled:
            done.changes.append(await self._make(invitation, row, one, link))
            return
        job = await self.session.get_one(Job, row.job_id, with_for_update=True)
        moved = row.starts_at != one.start
        if not moved and job.room_url == link.detected.url:
            done.add(Action.UNCHANGED, job, one.start)
            return
        waits = (
            job.status is Status.QUEUED
            and job.fence == 0
            and job.platform == link.detected.platform
        )
        if waits and not await self._shared(row):
            self._change(job, row, one, link)
            done.add(Action.UPDATED, job, one.start)
            return
        if not moved and job.status not in BEFORE_ROOM:
            # It is there already, or was: an invite that is written anew brings no second bot.
            done.add(Action.UNCHANGED, job, one.start)
            return
        await self._drop(row, done)
        done.changes.append(await self._make(invitation, row, one, link))

    def _change(self, job: Job, row: InvitedMeeting, one: Occurrence, link: Link) -> None:
        row.starts_at = one.start
        job.join_at = one.start if one.start > self.now else None
        job.meeting_url, job.room_url = link.written, link.detected.url
        job.labels = {**job.labels, **_labels(one)}
        job.updated_at = self.now

    async def _make(
        self, invitation: Invitation, row: InvitedMeeting | None, one: Occurrence, link: Link
    ) -> Change:
        job = await self._same_meeting(invitation, one, link)
        action = Action.UNCHANGED
        if job is None:
            job, action = await self._create(invitation, one, link), Action.CREATED
        if row is None:
            row = InvitedMeeting(
                invitation_id=invitation.id, key=one.key, job_id=job.id, starts_at=one.start
            )
        row.job_id, row.starts_at, row.cancelled = job.id, one.start, False
        self.session.add(row)
        await self.session.flush()
        return Change(action, job, one.start)

    async def _same_meeting(
        self, invitation: Invitation, one: Occurrence, link: Link
    ) -> Job | None:
        """A job that another invitation of the team made for the same meeting (CAL-17)."""
        statement = (
            select(Job)
            .where(
                Job.team_id == invitation.team_id,
                Job.room_url == link.detected.url,
                Job.join_at == one.start,
                Job.status == Status.QUEUED,
                col(Job.source) != Source.API,
            )
            .order_by(col(Job.id))
            .limit(1)
        )
        return (await self.session.exec(statement)).one_or_none()

    async def _create(self, invitation: Invitation, one: Occurrence, link: Link) -> Job:
        platform = link.detected.platform
        livemode = platform != SANDBOX
        gated = self.settings.billing.gated and livemode
        if gated and not await gate.may_dispatch(self.session, invitation.team_id):
            raise InviteRefused(Reason.CREDIT_EXHAUSTED, gate.EXHAUSTED)
        # The occurrence's original start, which stays when it is moved.
        start = f"{one.start:%Y%m%dT%H%M%SZ}" if one.key == SINGLE else one.key
        name = f"cal:{invitation.uid}:{start}"
        for number in range(1, MOST_RETURNS + 1):
            new = NewJob(
                team_id=invitation.team_id,
                livemode=livemode,
                platform=platform,
                driver=platform,
                meeting_url=link.written,
                room_url=link.detected.url,
                display_name=self.settings.intake.bot_name,
                region=self.settings.region,
                external_id=name if number == 1 else f"{name}:{number}",
                source=Source.INVITE,
                join_at=one.start if one.start > self.now else None,
                auto_leave=leaving_policy(None, {}, spec_of(platform).entry_delay_seconds),
                labels=_labels(one),
            )
            job, created = await create_job(
                self.session, self.box, new, now=self.now, settings=self.settings
            )
            if created:
                return job
        raise InviteRefused(Reason.CANNOT_RECORD, "The meeting was cancelled too often.")

    async def _drop(self, row: InvitedMeeting, done: Plan) -> None:
        """The meeting is not there any more: nor is its bot, unless it is in it."""
        job = await self.session.get_one(Job, row.job_id, with_for_update=True)
        if not await self._shared(row) and job.status in BEFORE_ROOM:
            try:
                job = (await service.request_cancel(self.session, job.id, now=self.now)).job
            except InvalidState:
                # It went on in this very moment.
                return
            done.add(Action.CANCELLED, job, row.starts_at)
        row.cancelled = True

    async def _shared(self, row: InvitedMeeting) -> bool:
        statement = (
            select(InvitedMeeting.key)
            .where(
                InvitedMeeting.job_id == row.job_id,
                col(InvitedMeeting.cancelled).is_(False),
                (col(InvitedMeeting.invitation_id) != row.invitation_id)
                | (col(InvitedMeeting.key) != row.key),
            )
            .limit(1)
        )
        return (await self.session.exec(statement)).first() is not None


def _labels(one: Occurrence) -> dict[str, Any]:
    """What a customer sees of the invite in the job's metadata."""
    summary = plain_text(str(one.event.get("SUMMARY", "")), 200)
    organizer = plain_text(str(one.event.get("ORGANIZER", "")), 320)
    return {
        "invite": {
            "uid": plain_text(str(one.event.get("UID", "")), 200),
            "summary": summary,
            "organizer": organizer.removeprefix("mailto:").removeprefix("MAILTO:"),
            "end": f"{one.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
    }

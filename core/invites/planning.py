"""From an invitation to jobs: made, moved and cancelled until they are as it says (CAL-06, 08, 16).

Only jobs whose bot is not on its way yet are changed; for the others a new one is made where the
meeting is at another time or place now. Runs follow their jobs (design.md D2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import BadInput
from core.invites.links import Link, find_link
from core.invites.models import Invitation, InvitedMeeting
from core.invites.occurrences import SINGLE, Occurrence, counted_out, expand, is_over, repeats
from core.invites.placing import Placing, waits
from core.invites.reading import Series
from core.invites.refusals import InviteRefused, Reason
from core.jobs.creation import NewJob
from core.jobs.leaving import leaving_policy
from core.jobs.lifecycle import BEFORE_ROOM
from core.jobs.models import Job, Source
from core.platforms.registry import DetectionContext, spec_of
from core.secrets import SecretBox
from core.settings import Settings
from core.texts import plain_text

FARTHEST_AHEAD: Final = timedelta(days=365)
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
    """What was done for one invitation.

    Args:
        why_none: what keeps its occurrences from having jobs.
        refused: what kept one from having a job that it should have; the others are as they should.
    """

    changes: list[Change] = field(default_factory=list)
    why_none: set[Reason] = field(default_factory=set)
    refused: InviteRefused | None = None

    @property
    def coming(self) -> bool:
        """Whether any bot will be there."""
        return any(one.action is not Action.CANCELLED for one in self.changes)

    def add(self, action: Action, job: Job, starts_at: datetime) -> None:
        self.changes.append(Change(action, job, starts_at))

    def refuse(self, error: BadInput) -> None:
        if not isinstance(error, InviteRefused):
            error = InviteRefused(Reason.CANNOT_RECORD, error.message)
        self.refused = self.refused or error


@dataclass(frozen=True)
class Planner:
    """What planning needs besides the invitation."""

    session: AsyncSession
    box: SecretBox
    settings: Settings
    now: datetime
    # Whether meetings that have begun already are joined.
    late: bool = True

    @property
    def placing(self) -> Placing:
        return Placing(self.session, self.box, self.settings, self.now)

    async def plan(self, invitation: Invitation, series: Series) -> Plan:
        """Bring the jobs of `invitation`, which is locked, to what `series` says.

        Raises:
            InviteRefused: its dates cannot be read.
        """
        done = Plan()
        until = self.now + (
            timedelta(days=self.settings.intake.horizon_days) if repeats(series) else FARTHEST_AHEAD
        )
        found = [] if invitation.cancelled else expand(series, self.now, until)
        wanted = self._wanted(series, found, done)
        rows = await self._rows(invitation)
        # Before others are dropped: an event that becomes a series keeps the job that it has.
        for key, (occurrence, link) in wanted.items():
            await self._place(invitation, rows.get(key), occurrence, link, done)
        for key, row in rows.items():
            if key not in wanted and not row.cancelled and row.starts_at > self.now:
                await self._drop(row, done)
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
            jitsi_server_url=self.settings.jitsi_server_url,
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
            await self._make(invitation, row, one, link, done)
            return
        job = await self.session.get_one(Job, row.job_id, with_for_update=True)
        moved = row.starts_at != one.start
        if not moved and job.room_url == link.detected.url:
            done.add(Action.UNCHANGED, job, one.start)
            return
        new = self._new(invitation, one, link)
        if (
            waits(job, new.platform)
            and not await self.placing.shared(job.id)
            and not await self.placing.elsewhere(new, one.start, job)
        ):
            self._change(job, row, one, link)
            done.add(Action.UPDATED, job, one.start)
            return
        if not moved and job.status not in BEFORE_ROOM:
            # It is there already, or was: an invite that is written anew brings no second bot.
            done.add(Action.UNCHANGED, job, one.start)
            return
        await self._drop(row, done)
        await self._make(invitation, row, one, link, done)

    def _change(self, job: Job, row: InvitedMeeting, one: Occurrence, link: Link) -> None:
        row.starts_at = one.start
        job.join_at = one.start if one.start > self.now else None
        job.meeting_url, job.room_url = link.written, link.detected.url
        job.labels = {**job.labels, **_labels(one)}
        job.updated_at = self.now

    async def _make(
        self,
        invitation: Invitation,
        row: InvitedMeeting | None,
        one: Occurrence,
        link: Link,
        done: Plan,
    ) -> None:
        # The occurrence's original start, which stays when it is moved.
        start = f"{one.start:%Y%m%dT%H%M%SZ}" if one.key == SINGLE else one.key
        name = f"cal:{invitation.uid}:{start}"
        new = self._new(invitation, one, link)
        try:
            # A failure takes back what it has begun; what else the invite says is done.
            async with self.session.begin_nested():
                job, created = await self.placing.job_for(new, one.start, name)
        except BadInput as error:
            done.refuse(error)
            return
        if row is None:
            row = InvitedMeeting(
                invitation_id=invitation.id, key=one.key, job_id=job.id, starts_at=one.start
            )
        row.job_id, row.starts_at, row.cancelled = job.id, one.start, False
        self.session.add(row)
        await self.session.flush()
        done.add(Action.CREATED if created else Action.UNCHANGED, job, one.start)

    def _new(self, invitation: Invitation, one: Occurrence, link: Link) -> NewJob:
        platform = link.detected.platform
        return NewJob(
            team_id=invitation.team_id,
            livemode=platform != SANDBOX,
            platform=platform,
            driver=platform,
            meeting_url=link.written,
            room_url=link.detected.url,
            display_name=self.settings.intake.bot_name,
            region=self.settings.region,
            source=Source.INVITE,
            auto_leave=leaving_policy(None, {}, spec_of(platform).entry_delay_seconds),
            labels=_labels(one),
        )

    async def _drop(self, row: InvitedMeeting, done: Plan) -> None:
        """The meeting is not there any more: nor is its bot, unless it is in it."""
        withdrawn = await self.placing.withdraw(row.job_id)
        if withdrawn is None:
            return
        job, cancelled = withdrawn
        if cancelled:
            done.add(Action.CANCELLED, job, row.starts_at)
        row.cancelled = True


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

"""Takes what a mail says of events: who may, what is new, and the jobs of it (API-21, API-75)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import rate_limits
from core.ids import new_id
from core.invites.merging import cancels_all, kept, merged, newest, since, with_cancelled
from core.invites.models import Invitation
from core.invites.placing import one_at_a_time
from core.invites.planning import Change, Planner
from core.invites.reading import Series, read_calendar, version_of
from core.invites.refusals import InviteRefused, Reason
from core.invites.screening import Screen
from core.invites.senders import Proof, responsible, team_of
from core.secrets import SecretBox
from core.settings import Settings


@dataclass(frozen=True)
class Sent:
    """Whose mail it is."""

    sender: str | None
    organizer: str | None
    proof: Proof


@dataclass(frozen=True)
class Decision:
    """What came of an invite; `reason` and `message` where no bot will come."""

    changes: Sequence[Change] = ()
    reason: Reason | None = None
    message: str | None = None

    @property
    def accepted(self) -> bool:
        return self.reason is None


async def take_invite(
    session: AsyncSession,
    box: SecretBox,
    settings: Settings,
    *,
    sent: Sent,
    method: str,
    series: Series,
    now: datetime,
) -> Decision:
    """Do what `series` says, once: again it changes nothing.

    Raises:
        InviteRefused: it is not followed, and why; roll back.
        RateLimited: the team gets too many of them now.
    """
    address = responsible(sent.sender, sent.organizer, sent.proof, settings.intake)
    team_id = await team_of(session, address)
    await rate_limits.take(session, f"invites:{team_id}", settings.intake.invites, now=now)
    await one_at_a_time(session, team_id)
    invitation = await _known(session, team_id, series)
    if invitation is None:
        invitation = Invitation(
            id=new_id("inv", now),
            team_id=team_id,
            uid=series.key,
            sender=address,
            text="",
            sequence=-1,
            stamped_at=now,
            created_at=now,
            updated_at=now,
        )
    elif invitation.sender != address:
        raise InviteRefused(
            Reason.NOT_THE_SENDER,
            "Only who sent the first invite to this meeting can change or cancel it.",
        )
    known = stored_series(invitation, box, settings) if invitation.text else None
    told = _update(invitation, known, method, series)
    invitation.text = _sealed(told, box, now)
    session.add(invitation)
    await session.flush()
    plan = await Planner(session, box, settings, now).plan(invitation, told)
    if method != "REQUEST" or invitation.cancelled or plan.coming:
        return Decision(plan.changes)
    refused = plan.refused or _refused(plan.why_none)
    if refused is not None and known is None:
        # Nothing of it is kept: to invite again is to begin again.
        raise refused
    # What is known of the event already changes all the same.
    return Decision(
        plan.changes,
        refused.reason if refused else None,
        refused.message if refused else None,
    )


def _update(invitation: Invitation, known: Series | None, method: str, series: Series) -> Series:
    """Write what `series` says into the invitation; all that is known of the event now."""
    if cancels_all(series, method):
        return _cancel(invitation, known, series)
    version = newest(series)
    before = (invitation.sequence, invitation.stamped_at)
    if invitation.cancelled and method != "CANCEL":
        if _before_cancel(invitation, series):
            raise _outdated()
        # What was said before the cancel is over with it.
        known = since(known, invitation.stamped_at) if known is not None else None
        invitation.cancelled = False
    told = merged(known, with_cancelled(series) if method == "CANCEL" else series)
    if told is None:
        raise _outdated()
    if not invitation.cancelled:
        invitation.sequence, invitation.stamped_at = max(before, version)
    return told


def _cancel(invitation: Invitation, known: Series | None, series: Series) -> Series:
    """The whole event is off. Of a cancelled one, the version is that of its cancel."""
    sequence, stamp = version_of(series.master)
    master = known.master if known is not None else None
    # Exceptions count by themselves, and may have been changed more often than their series.
    latest = invitation.sequence if invitation.cancelled else -1
    if master is not None and not invitation.cancelled:
        latest, _ = version_of(master)
    if sequence < latest:
        raise _outdated()
    invitation.cancelled = True
    invitation.sequence, invitation.stamped_at = sequence, stamp
    return known or series


def _before_cancel(invitation: Invitation, series: Series) -> bool:
    """Whether a text on a cancelled event was written before it was cancelled."""
    sequence, stamp = newest(series)
    if series.master is None and stamp.year > 1:
        # Its sequence is that of the one occurrence.
        return stamp <= invitation.stamped_at
    return (sequence, stamp) <= (invitation.sequence, invitation.stamped_at)


def _outdated() -> InviteRefused:
    return InviteRefused(Reason.OUTDATED, "A newer version of this invite is known already.")


def _sealed(told: Series, box: SecretBox, now: datetime) -> str:
    """What is kept of an event.

    Raises:
        InviteRefused: with all that was said before it is too much to be read again.
    """
    text = kept(told, now).text
    Screen("UTC").read(text)
    return box.seal(SecretStr(text))


def stored_series(invitation: Invitation, box: SecretBox, settings: Settings) -> Series:
    """All that is known of an event."""
    text = box.open(invitation.text).get_secret_value()
    return read_calendar(text, zone=settings.intake.timezone).series[0]


async def _known(session: AsyncSession, team_id: str, series: Series) -> Invitation | None:
    statement = (
        select(Invitation)
        .where(Invitation.team_id == team_id, Invitation.uid == series.key)
        .with_for_update()
    )
    return (await session.exec(statement)).one_or_none()


def _refused(why: set[Reason]) -> InviteRefused | None:
    """The one thing that a person can do something about."""
    texts = {
        Reason.NO_MEETING_URL: "The invite has no link to a meeting that a bot can join.",
        Reason.ALL_DAY: "An event of a whole day does not say when to come: give it a time.",
        Reason.TOO_FAR_AHEAD: "The meeting is more than a year ahead.",
        Reason.IN_PAST: "The meeting is over.",
    }
    for reason, text in texts.items():
        if reason in why:
            return InviteRefused(reason, text)
    return None


async def due_invitations(
    session: AsyncSession, *, before: datetime, limit: int
) -> Sequence[Invitation]:
    """Invitations whose occurrences are planned to less than `before`, the most urgent first."""
    statement = (
        select(Invitation)
        .where(col(Invitation.planned_until) < before, col(Invitation.cancelled).is_(False))
        .order_by(col(Invitation.planned_until), col(Invitation.id))
        .limit(limit)
    )
    return (await session.exec(statement)).all()

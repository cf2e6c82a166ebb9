"""Takes what a mail says of events: who may, what is new, and the jobs of it (API-21, API-75)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import rate_limits
from core.errors import BadInput
from core.ids import new_id
from core.invites.merging import cancels_all, merged, newest, with_cancelled
from core.invites.models import Invitation
from core.invites.placing import one_at_a_time
from core.invites.planning import Change, Planner
from core.invites.reading import Series, read_calendar
from core.invites.refusals import InviteRefused, Reason
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
    """What came of an invite; `reason` and `message` where nothing did."""

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
    told = _update(invitation, box, settings, method, series)
    session.add(invitation)
    await session.flush()
    try:
        plan = await Planner(session, box, settings, now).plan(invitation, told)
    except InviteRefused:
        raise
    except BadInput as error:
        raise InviteRefused(Reason.CANNOT_RECORD, error.message) from error
    if not plan.changes and method == "REQUEST" and not invitation.cancelled:
        _refuse(plan.why_none)
    return Decision(plan.changes)


def _update(
    invitation: Invitation, box: SecretBox, settings: Settings, method: str, series: Series
) -> Series:
    """Write what `series` says into the invitation; all that is known of the event now."""
    known = stored_series(invitation, box, settings) if invitation.text else None
    sequence, stamp = newest(series)
    before = (invitation.sequence, invitation.stamped_at)
    outdated = InviteRefused(Reason.OUTDATED, "A newer version of this invite is known already.")
    if cancels_all(series, method):
        if sequence < invitation.sequence:
            raise outdated
        invitation.cancelled = True
        told: Series | None = known or series
    else:
        if invitation.cancelled and (sequence, stamp) <= before:
            raise outdated
        told = merged(known, with_cancelled(series) if method == "CANCEL" else series)
        if told is None:
            raise outdated
        if invitation.cancelled and series.master is not None:
            invitation.cancelled = False
    invitation.text = box.seal(SecretStr(told.text)) if told else invitation.text
    invitation.sequence, invitation.stamped_at = max(before, (sequence, stamp))
    return told or series


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


def _refuse(why: set[Reason]) -> None:
    """Say the one thing that a person can do something about."""
    texts = {
        Reason.NO_MEETING_URL: "The invite has no link to a meeting that a bot can join.",
        Reason.ALL_DAY: "An event of a whole day does not say when to come: give it a time.",
        Reason.TOO_FAR_AHEAD: "The meeting is more than a year ahead.",
        Reason.IN_PAST: "The meeting is over.",
    }
    for reason, text in texts.items():
        if reason in why:
            raise InviteRefused(reason, text)


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

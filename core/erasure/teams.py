"""What goes of a team besides its jobs: keys, people, logins, names and secrets (GDPR).

The team's row stays, without a name: usage and invoices rest on it.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final

from pydantic import SecretStr
from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.login_models import CliLogin, MagicLink
from core.accounts.models import ApiKey, LoginSession, Membership, Team, User
from core.calendars.models import (
    CalendarChannel,
    CalendarConnection,
    CalendarEvent,
    CalendarLogin,
    CalendarRule,
)
from core.errors import NotFound
from core.invites.models import Invitation, InvitedMeeting
from core.secrets import SecretBox
from core.storage.team import TeamStorage
from core.transcripts.models import ProviderKey

ERASED_NAME: Final = "(erased)"


async def close_team(session: AsyncSession, team_id: str, *, now: datetime) -> dict[str, int]:
    """Let nobody in any more and forget who was: what went, in numbers. Again: nothing is left.

    Raises:
        NotFound: no such team.
    """
    team = await session.get(Team, team_id, with_for_update=True)
    if team is None:
        raise NotFound(f"There is no team {team_id}.")
    keys = await session.exec(
        update(ApiKey)
        .where(col(ApiKey.team_id) == team_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=now)
    )
    await session.exec(
        update(ApiKey).where(col(ApiKey.team_id) == team_id).values(name=ERASED_NAME)
    )
    members = (
        await session.exec(select(Membership.user_id).where(Membership.team_id == team_id))
    ).all()
    await session.exec(delete(LoginSession).where(col(LoginSession.team_id) == team_id))
    await session.exec(delete(CliLogin).where(col(CliLogin.team_id) == team_id))
    await session.exec(delete(Membership).where(col(Membership.team_id) == team_id))
    elsewhere = select(Membership.user_id).where(col(Membership.user_id).in_(members))
    lone = set(members) - set((await session.exec(elsewhere)).all())
    addresses = select(User.email).where(col(User.id).in_(lone))
    await session.exec(delete(MagicLink).where(col(MagicLink.email).in_(addresses)))
    await session.exec(delete(CliLogin).where(col(CliLogin.user_id).in_(lone)))
    await session.exec(delete(LoginSession).where(col(LoginSession.user_id).in_(lone)))
    await session.exec(delete(User).where(col(User.id).in_(lone)))
    invited = select(Invitation.id).where(Invitation.team_id == team_id)
    await session.exec(delete(InvitedMeeting).where(col(InvitedMeeting.invitation_id).in_(invited)))
    await session.exec(delete(Invitation).where(col(Invitation.team_id) == team_id))
    await _forget_calendars(session, team_id)
    team.name = ERASED_NAME
    return {"keys": keys.rowcount, "memberships": len(members), "people": len(lone)}


async def _forget_calendars(session: AsyncSession, team_id: str) -> None:
    """With their grants. What providers still tell us of them is answered that nobody is there."""
    connected = select(CalendarConnection.id).where(CalendarConnection.team_id == team_id)
    await session.exec(
        delete(CalendarChannel).where(col(CalendarChannel.connection_id).in_(connected))
    )
    for table in (CalendarEvent, CalendarRule, CalendarLogin, CalendarConnection):
        await session.exec(delete(table).where(col(table.team_id) == team_id))


async def forget_secrets(session: AsyncSession, box: SecretBox, team_id: str) -> None:
    """Drop what opens the team's own services, when nothing is left to be erased there."""
    team = await session.get_one(Team, team_id, with_for_update=True)
    # Nobody knows the new one.
    team.webhook_secret = box.seal(SecretStr(f"whsec_{secrets.token_urlsafe(32)}"))
    team.previous_webhook_secret = team.previous_secret_until = None
    await session.exec(
        update(TeamStorage).where(col(TeamStorage.team_id) == team_id).values(credentials=None)
    )
    await session.exec(delete(ProviderKey).where(col(ProviderKey.team_id) == team_id))

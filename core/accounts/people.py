"""People: one per e-mail address, and a team for everybody who comes for the first time."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Membership, Team, User
from core.accounts.service import create_team
from core.errors import BadInput, Issue
from core.ids import new_id
from core.secrets import SecretBox

MOST_NAME_CHARACTERS: Final = 64


def normal_address(text: str) -> str:
    """The form in which an e-mail address is stored and compared.

    Raises:
        BadInput: it is not an e-mail address.
    """
    try:
        checked = validate_email(text.strip(), check_deliverability=False)
    except EmailNotValidError:
        message = "That is not an e-mail address; write it as name@example.com."
        raise BadInput(message, [Issue(("email",), "invalid_email", message)]) from None
    return checked.normalized.lower()


async def sign_in(
    session: AsyncSession, box: SecretBox, address: str, *, name: str | None = None, now: datetime
) -> tuple[User, Team]:
    """Who proved to own `address` (see `normal_address`), and their first team.

    Whoever comes for the first time becomes a user with a team of their own (AU-14, BL-11), also
    when they come twice at once.
    """
    person = name.strip()[:MOST_NAME_CHARACTERS] if name else None
    added = insert(User).values(id=new_id("usr"), email=address, name=person, created_at=now)
    await session.exec(added.on_conflict_do_nothing(index_elements=["email"]))
    # Locked: of two first logins, the second one finds the team of the first.
    statement = select(User).where(User.email == address).with_for_update()
    user = (await session.exec(statement)).one()
    user.name = user.name or person
    team = await _first_team(session, user)
    if team is None:
        called = (user.name or address.partition("@")[0])[:MOST_NAME_CHARACTERS].strip()
        team = await create_team(session, box, called or "My team", now=now)
        session.add(Membership(user_id=user.id, team_id=team.id, created_at=now))
        await session.flush()
    return user, team


async def _first_team(session: AsyncSession, user: User) -> Team | None:
    statement = (
        select(Team)
        .join(Membership, col(Membership.team_id) == Team.id)
        .where(Membership.user_id == user.id)
        .order_by(col(Membership.created_at), Team.id)
        .limit(1)
    )
    return (await session.exec(statement)).one_or_none()


async def first_address(session: AsyncSession, team_id: str) -> str | None:
    """The address of the team's first person; teams made by the operator have none."""
    statement = (
        select(User.email)
        .join(Membership, col(Membership.user_id) == User.id)
        .where(Membership.team_id == team_id)
        .order_by(col(Membership.created_at), col(User.id))
        .limit(1)
    )
    return (await session.exec(statement)).one_or_none()

"""A team's rules, and the connections that have to decide anew when they change (API-41)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.calendars.connections import owned as owned_connection
from core.calendars.models import CalendarConnection, CalendarRule, State
from core.calendars.rules import Match, RuleAction
from core.errors import BadInput, NotFound
from core.ids import new_id, parse_id
from core.integrations.pool import Owner

MOST_OF_A_TEAM: Final = 500
Fields = Mapping[str, Any]


async def create_rule(
    session: AsyncSession, owner: Owner, fields: Fields, *, now: datetime
) -> CalendarRule:
    """A rule of checked `fields`, by the names of `CalendarRule`.

    Raises:
        NotFound: its connection is none of the team's.
        BadInput: the team has too many.
    """
    count = select(func.count()).where(CalendarRule.team_id == owner.team_id)
    if (await session.exec(count)).one() >= MOST_OF_A_TEAM:
        raise BadInput(f"A team has {MOST_OF_A_TEAM} calendar rules at most; delete one first.")
    row = CalendarRule(
        id=new_id("rule", now),
        team_id=owner.team_id,
        livemode=owner.livemode,
        connection_id=await _connection(session, owner, fields.get("connection_id")),
        priority=fields["priority"],
        action=RuleAction(fields["action"]),
        match=_written(fields["match"]),
        enabled=fields["enabled"],
        bot_defaults=fields["bot_defaults"],
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    await _decide_anew(session, owner, {row.connection_id}, now)
    return row


async def change_rule(
    session: AsyncSession, owner: Owner, text: str, fields: Fields, *, now: datetime
) -> CalendarRule:
    """Write the fields that are given, and leave the others.

    Raises:
        NotFound: unknown, another team's, or of the other mode; or its connection is.
    """
    row = await owned_rule(session, owner, text, lock=True)
    before = row.connection_id
    for name, value in fields.items():
        match name:
            case "connection_id":
                row.connection_id = await _connection(session, owner, value)
            case "match":
                row.match = _written(value)
            case _:
                setattr(row, name, value)
    row.updated_at = now
    await session.flush()
    await _decide_anew(session, owner, {before, row.connection_id}, now)
    return row


async def delete_rule(session: AsyncSession, owner: Owner, text: str, *, now: datetime) -> None:
    """Remove a rule; what it decided is decided anew.

    Raises:
        NotFound: as `change_rule`.
    """
    row = await owned_rule(session, owner, text, lock=True)
    await session.delete(row)
    await session.flush()
    await _decide_anew(session, owner, {row.connection_id}, now)


async def owned_rule(
    session: AsyncSession, owner: Owner, text: str, *, lock: bool = False
) -> CalendarRule:
    """A team's rule.

    Raises:
        NotFound: unknown, another team's, or of the other mode (CV-11, CV-12).
    """
    found = parse_id("rule", text)
    row = (
        await session.get(CalendarRule, found, with_for_update=lock) if found is not None else None
    )
    if row is None or (row.team_id, row.livemode) != (owner.team_id, owner.livemode):
        raise NotFound(
            f"There is no calendar rule {text[:64]}. `GET /api/v1/calendar/rules` lists them."
        )
    return row


async def rules_of_team(
    session: AsyncSession, owner: Owner, *, limit: int, before_id: str | None = None
) -> Sequence[CalendarRule]:
    """The newest first."""
    statement = select(CalendarRule).where(
        CalendarRule.team_id == owner.team_id, CalendarRule.livemode == owner.livemode
    )
    if before_id is not None:
        statement = statement.where(col(CalendarRule.id) < before_id)
    return (await session.exec(statement.order_by(col(CalendarRule.id).desc()).limit(limit))).all()


async def _connection(session: AsyncSession, owner: Owner, text: str | None) -> str | None:
    return None if text is None else (await owned_connection(session, owner, text)).id


async def _decide_anew(
    session: AsyncSession, owner: Owner, connections: set[str | None], now: datetime
) -> None:
    """The next sync, which starts within seconds, looks at all events that are to come."""
    statement = update(CalendarConnection).where(
        col(CalendarConnection.team_id) == owner.team_id,
        col(CalendarConnection.livemode) == owner.livemode,
        col(CalendarConnection.state) == State.ACTIVE,
    )
    if None not in connections:
        statement = statement.where(col(CalendarConnection.id).in_(connections))
    await session.exec(
        statement.values(rules_changed=True, asked_at=now).execution_options(
            synchronize_session=False
        )
    )


def _written(match: Match) -> dict[str, Any]:
    return match.model_dump(mode="json", exclude_none=True)

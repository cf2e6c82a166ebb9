"""Rules for calendar events, and what they decided (API-41, API-42)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from sqlmodel import col, select

from api.calendar_rules import checked_rule, dry_run, facts_of
from api.dependencies import MemberDep, ServicesDep
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.routes.calendars import owner_of
from api.schemas.calendar_rules import (
    DryRunIn,
    DryRunOut,
    RuleIn,
    RuleOut,
    RulePatchIn,
    RulesPage,
)
from api.schemas.calendars import CalendarEventOut, CalendarEventsPage
from api.schemas.errors import ErrorOut
from api.schemas.wire import MomentIn
from core.calendars import rule_store
from core.calendars.models import CalendarEvent
from core.calendars.rules import RuleAction
from core.ids import parse_id

Answers = dict[int | str, dict[str, Any]]
NOT_FOUND: Final[Answers] = {404: {"model": ErrorOut}}
TOO_LARGE: Final[Answers] = {413: {"model": ErrorOut}}
RuleId = Annotated[str, Path(alias="id", description="`rule_…`")]

router = APIRouter(
    prefix="/api/v1/calendar",
    tags=["calendar"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


@router.get("/rules", operation_id="listCalendarRules")
async def list_(
    member: MemberDep, services: ServicesDep, limit: Limit = 50, cursor: Cursor = None
) -> RulesPage:
    """All rules, newest first; they are asked by ascending priority."""
    before = decode_cursor("rule", cursor)
    async with services.database.begin() as session:
        found = await rule_store.rules_of_team(
            session, owner_of(member), limit=limit + 1, before_id=before
        )
    page = found[:limit]
    return RulesPage(
        data=[RuleOut.of(row) for row in page],
        next_cursor=encode_cursor(page[-1].id) if len(found) > limit else None,
    )


@router.post(
    "/rules",
    operation_id="createCalendarRule",
    status_code=201,
    responses=NOT_FOUND | TOO_LARGE,
)
async def create(body: RuleIn, member: MemberDep, services: ServicesDep) -> RuleOut:
    """Say which events are recorded, or skipped. Events to come are decided anew at once."""
    owner = owner_of(member)
    fields = await checked_rule(body, owner, services)
    async with services.database.begin() as session:
        row = await rule_store.create_rule(session, owner, fields, now=services.clock.now())
    return RuleOut.of(row)


@router.post("/rules/dry-run", operation_id="tryCalendarRules", responses=NOT_FOUND | TOO_LARGE)
async def try_(body: DryRunIn, member: MemberDep, services: ServicesDep) -> DryRunOut:
    """What rules would decide, and why: rule by rule, with the conditions that did not hold."""
    return DryRunOut(data=await dry_run(body, owner_of(member), services))


@router.get("/rules/{id}", operation_id="getCalendarRule", responses=NOT_FOUND)
async def get(rule_id: RuleId, member: MemberDep, services: ServicesDep) -> RuleOut:
    """One rule."""
    async with services.database.begin() as session:
        return RuleOut.of(await rule_store.owned_rule(session, owner_of(member), rule_id))


@router.patch("/rules/{id}", operation_id="changeCalendarRule", responses=NOT_FOUND | TOO_LARGE)
async def change(
    rule_id: RuleId, body: RulePatchIn, member: MemberDep, services: ServicesDep
) -> RuleOut:
    """Change what is sent. Events to come are decided anew, and jobs that wait are changed."""
    owner = owner_of(member)
    async with services.database.begin() as session:
        await rule_store.owned_rule(session, owner, rule_id)
    fields = await checked_rule(body, owner, services)
    async with services.database.begin() as session:
        row = await rule_store.change_rule(
            session, owner, rule_id, fields, now=services.clock.now()
        )
    return RuleOut.of(row)


@router.delete(
    "/rules/{id}", operation_id="deleteCalendarRule", status_code=204, responses=NOT_FOUND
)
async def delete(rule_id: RuleId, member: MemberDep, services: ServicesDep) -> None:
    """Remove a rule; bots that only it sent are called off."""
    async with services.database.begin() as session:
        await rule_store.delete_rule(session, owner_of(member), rule_id, now=services.clock.now())


@router.get("/events", operation_id="listCalendarEvents")
async def events(
    member: MemberDep,
    services: ServicesDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    connection_id: Annotated[str | None, Query(alias="connectionId", max_length=64)] = None,
    decision: RuleAction | None = None,
    starts_after: Annotated[MomentIn | None, Query(alias="startsAfter")] = None,
    starts_before: Annotated[MomentIn | None, Query(alias="startsBefore")] = None,
) -> CalendarEventsPage:
    """Events of connected calendars, those that became known last first, with what was decided."""
    owner, before = owner_of(member), decode_cursor("cev", cursor)
    statement = select(CalendarEvent).where(
        CalendarEvent.team_id == owner.team_id, CalendarEvent.livemode == owner.livemode
    )
    if connection_id is not None:
        # What is no id has no events, and does not reach the database: it may be any text.
        wanted = parse_id("cal", connection_id) or ""
        statement = statement.where(CalendarEvent.connection_id == wanted)
    if decision is not None:
        statement = statement.where(CalendarEvent.action == decision)
    if starts_after is not None:
        statement = statement.where(col(CalendarEvent.starts_at) >= starts_after)
    if starts_before is not None:
        statement = statement.where(col(CalendarEvent.starts_at) < starts_before)
    if before is not None:
        statement = statement.where(col(CalendarEvent.id) < before)
    statement = statement.order_by(col(CalendarEvent.id).desc()).limit(limit + 1)
    async with services.database.begin() as session:
        found = (await session.exec(statement)).all()
    page = found[:limit]
    return CalendarEventsPage(
        data=[CalendarEventOut.of(row, facts_of(row, services)) for row in page],
        next_cursor=encode_cursor(page[-1].id) if len(found) > limit else None,
    )

"""What a team has used (API-32, API-33)."""

from __future__ import annotations

from fastapi import APIRouter

from api.dependencies import MemberDep, ServicesDep
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.schemas.errors import ErrorOut
from api.schemas.usage import UsageEventOut, UsageEventsPage, UsageSummaryOut
from core.accounts.models import Team
from core.billing import credit
from core.billing.summary import usage_events, usage_summary
from core.jobs.settlement import prices_of

router = APIRouter(
    prefix="/api/v1/usage",
    tags=["usage"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


@router.get("", operation_id="getUsage")
async def summary(member: MemberDep, services: ServicesDep) -> UsageSummaryOut:
    """Usage today and this month, the credit that is left, and what the next invoice will be."""
    now = services.clock.now()
    async with services.database.begin() as session:
        found = await usage_summary(session, member.team_id, member.livemode, now=now)
        team = await session.get_one(Team, member.team_id)
    price = prices_of(team, services.settings.billing.prices, now).recording
    return UsageSummaryOut.of(found, credit.hours_for(found.credit_remaining_usd, price))


@router.get("/events", operation_id="listUsageEvents")
async def events(
    member: MemberDep, services: ServicesDep, limit: Limit = 50, cursor: Cursor = None
) -> UsageEventsPage:
    """Usage events, newest first: one per finished bot run, one per transcript of ours."""
    before = decode_cursor("use", cursor)
    async with services.database.begin() as session:
        found = await usage_events(
            session, member.team_id, member.livemode, limit=limit + 1, before_id=before
        )
    page = found[:limit]
    more = encode_cursor(page[-1].id) if len(found) > limit else None
    return UsageEventsPage(data=[UsageEventOut.of(event) for event in page], next_cursor=more)

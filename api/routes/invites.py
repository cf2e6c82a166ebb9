"""Invites by mail: who may cause what is decided here, not by the mail worker (API-21, D24)."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from fastapi import APIRouter

from api import starting
from api.dependencies import IntakeDep, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.invites import CalendarInvite, IntakeResult
from api.services import Services
from core.dispatch import admission
from core.errors import BadInput, Issue
from core.invites.planning import Action
from core.invites.reading import Series, described, read_calendar, zone_named
from core.invites.refusals import InviteRefused
from core.invites.senders import Proof
from core.invites.taking import Decision, Sent, take_invite

log = logging.getLogger(__name__)

# The bot is in no hurry with what begins later; so many runs are made while the worker waits.
RUNS_AT_ONCE: Final = 4

router = APIRouter(prefix="/api/v1/intake", tags=["calendar"])


@router.post(
    "/calendar-invite",
    operation_id="takeCalendarInvite",
    status_code=202,
    responses={code: {"model": ErrorOut} for code in (400, 401, 413, 429, 500, 503)},
)
async def take(body: CalendarInvite, _: IntakeDep, services: ServicesDep) -> IntakeResult:
    """Make, move or cancel the jobs of an event that the bot was invited to by mail."""
    try:
        decision = await _decide(body, services)
    except InviteRefused as refused:
        log.info("an invite was not followed: %s", refused.reason)
        return IntakeResult.of(Decision(reason=refused.reason, message=refused.message))
    created = [one.job for one in decision.changes if one.action is Action.CREATED]
    for start in range(0, len(created), RUNS_AT_ONCE):
        batch = created[start : start + RUNS_AT_ONCE]
        await asyncio.gather(*(starting.submit(services, job) for job in batch))
    for change in decision.changes:
        if change.action is Action.CANCELLED:
            await starting.cancel_run(services, change.job)
    return IntakeResult.of(decision)


async def _decide(body: CalendarInvite, services: Services) -> Decision:
    # Texts may be long, and the parser holds a lock.
    series = await asyncio.to_thread(_series, body, services.settings.intake.timezone)
    organizer = body.organizer.email or _organizer(series)
    sent = Sent(
        body.sender or body.envelope_from,
        organizer,
        Proof(body.auth.spf, body.auth.dkim, body.auth.dmarc, body.auth.aligned_domain),
    )
    async with services.database.begin() as session:
        now = services.clock.now()
        decision = await take_invite(
            session,
            services.box,
            services.settings,
            sent=sent,
            method=body.method,
            series=series,
            now=now,
        )
        limit = services.settings.lifecycle.team_meetings
        for change in decision.changes:
            if change.action is Action.CREATED:
                await admission.check_start(session, change.job, team_limit=limit, now=now)
    return decision


def _series(body: CalendarInvite, zone: str) -> Series:
    """The one event that the request is about.

    Raises:
        BadInput: it is about several, or not in the calendar.
        InviteRefused: the calendar cannot be read.
    """
    if body.raw_ics is None:
        fields = {
            "uid": body.uid,
            "sequence": body.sequence,
            "recurrence_id": body.recurrence_id,
            "organizer": body.organizer.email,
            "summary": body.summary,
            "description": body.description,
            "location": body.location,
            "start": body.start,
            "end": body.end,
            "rrule": body.rrule,
            "zone": zone_named(body.timezone),
            "link": body.meeting_url,
        }
        return read_calendar(described(fields, body.method)).series[0]
    found = read_calendar(body.raw_ics, zone=zone).series
    wanted = [one for one in found if body.uid is None or one.uid == body.uid.strip()]
    if len(wanted) != 1:
        message = "rawIcs has several events: send uid, and one request for each."
        raise BadInput(message, [Issue(("uid",), "ambiguous", message)])
    return wanted[0]


def _organizer(series: Series) -> str | None:
    value = str((series.master or series.events[0]).get("ORGANIZER", ""))
    scheme, _, address = value.partition(":")
    return address if scheme.lower() == "mailto" else value or None

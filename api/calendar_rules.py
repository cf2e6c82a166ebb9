"""From a rule as it was sent to a rule as it is stored, checked; and what rules would decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.new_job import checked_metadata, sent_fields
from api.schemas.calendar_rules import (
    BotDefaultsIn,
    DryDecisionOut,
    DryRunIn,
    RuleIn,
    RulePatchIn,
    TriedEventIn,
)
from api.schemas.create_job import WebhooksIn
from api.services import Services
from core.accounts.models import Team
from core.calendars.bots import BotDefaults
from core.calendars.connections import owned
from core.calendars.events import Facts
from core.calendars.models import CalendarEvent
from core.calendars.rule_store import MOST_OF_A_TEAM, rules_of_team
from core.calendars.rules import RuleTerms, decide
from core.errors import BadInput
from core.integrations.pool import Owner
from core.jobs.leaving import leaving_policy
from core.jobs.spec import RecordingOptions, TranscriptionOptions
from core.network.addresses import check_url
from core.platforms.registry import DetectionContext, detect

MOST_EVENTS: Final = 100
PATH: Final = ("botDefaults", "webhooks", "onFinalize")


async def checked_rule(
    body: RuleIn | RulePatchIn, owner: Owner, services: Services
) -> dict[str, Any]:
    """The columns that a request sets; of a patch only those that were sent.

    Raises:
        BadInput, TooLarge: with the field and what to do about it.
    """
    sent = body.model_fields_set if isinstance(body, RulePatchIn) else set(RuleIn.model_fields)
    fields: dict[str, Any] = {
        name: getattr(body, name)
        for name in ("connection_id", "priority", "action", "enabled")
        if name in sent
    }
    if "match" in sent:
        fields["match"] = body.match.match()
    if "bot_defaults" in sent:
        defaults = body.bot_defaults
        fields["bot_defaults"] = (
            await _defaults(defaults, owner, services) if defaults is not None else None
        )
    return fields


async def _defaults(body: BotDefaultsIn, owner: Owner, services: Services) -> Mapping[str, Any]:
    auto_leave = sent_fields(body.auto_leave)
    leaving_policy(body.leave_behavior, auto_leave, 1)
    recording, transcription = body.recording, body.transcription
    checked = BotDefaults(
        display_name=body.display_name,
        leave_behavior=body.leave_behavior,
        auto_leave=auto_leave,
        recording=(
            RecordingOptions(video=recording.video, fps=recording.fps) if recording else None
        ),
        transcription=(
            TranscriptionOptions(**transcription.model_dump()) if transcription else None
        ),
        webhooks=await _webhooks(body.webhooks, owner, services),
        metadata=checked_metadata(body.metadata or {}),
    )
    return checked.model_dump(mode="json", exclude_none=True)


async def _webhooks(
    body: WebhooksIn | None, owner: Owner, services: Services
) -> dict[str, Any] | None:
    if body is None or body.on_finalize is None:
        return None
    await check_url(
        body.on_finalize,
        services.settings.trusted_origins,
        path=PATH,
        resolver=services.resolver,
    )
    async with services.database.begin() as session:
        team = await session.get_one(Team, owner.team_id)
    return {
        "onFinalize": body.on_finalize,
        "version": body.version or team.webhook_version,
        "events": [one.value for one in body.events] if body.events is not None else None,
    }


async def dry_run(body: DryRunIn, owner: Owner, services: Services) -> list[DryDecisionOut]:
    """What would be decided; nothing is changed.

    Raises:
        NotFound: there is no such connection.
    """
    async with services.database.begin() as session:
        if body.connection_id is not None:
            await owned(session, owner, body.connection_id)
        rules = await _rules(session, body, owner)
        if body.event is not None:
            facts = body.event.facts(_joinable(body.event, owner, services))
            decision = decide(facts, _of(rules, body.connection_id))
            return [DryDecisionOut.of(decision, facts.title, None, None)]
        return [
            DryDecisionOut.of(
                decide(facts, _of(rules, row.connection_id)), facts.title, row.id, row.starts_at
            )
            for row, facts in await _events(session, body, owner, services)
        ]


Scoped = tuple[str | None, RuleTerms]


async def _rules(session: AsyncSession, body: DryRunIn, owner: Owner) -> list[Scoped]:
    """Rules, each with the connection that it is for."""
    if body.rules is None:
        stored = await rules_of_team(session, owner, limit=MOST_OF_A_TEAM)
        return [(row.connection_id, row.terms) for row in stored if row.enabled]
    return [
        (
            one.connection_id,
            # The names sort as the rules were sent: of one priority the first decides.
            RuleTerms(f"rules[{number}]", one.priority, one.action, one.match.match()),
        )
        for number, one in enumerate(body.rules)
        if one.enabled
    ]


def _of(rules: Sequence[Scoped], connection_id: str | None) -> list[RuleTerms]:
    """Those for a connection; for an event of none only those for all."""
    return [terms for scope, terms in rules if scope in (None, connection_id)]


async def _events(
    session: AsyncSession, body: DryRunIn, owner: Owner, services: Services
) -> list[tuple[CalendarEvent, Facts]]:
    statement = select(CalendarEvent).where(
        CalendarEvent.team_id == owner.team_id,
        CalendarEvent.livemode == owner.livemode,
        col(CalendarEvent.starts_at) > services.clock.now(),
    )
    if body.connection_id is not None:
        statement = statement.where(CalendarEvent.connection_id == body.connection_id)
    statement = statement.order_by(col(CalendarEvent.starts_at), col(CalendarEvent.id))
    rows = (await session.exec(statement.limit(MOST_EVENTS))).all()
    return [(row, facts_of(row, services)) for row in rows]


def facts_of(row: CalendarEvent, services: Services) -> Facts:
    return Facts.model_validate_json(services.box.open(row.facts).get_secret_value())


def _joinable(event: TriedEventIn, owner: Owner, services: Services) -> str | None:
    """The event's link, where a bot could join it."""
    settings = services.settings
    context = DetectionContext(
        sandbox_origin=settings.sandbox.origin,
        livemode=owner.livemode,
        trusted_origins=settings.trusted_origins,
        jitsi_server_url=settings.jitsi_server_url,
    )
    if event.meeting_url is None:
        return None
    try:
        detect(event.meeting_url, context=context)
    except BadInput:
        return None
    return event.meeting_url

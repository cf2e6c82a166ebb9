"""Rules for the events of connected calendars (API-41, CAL-15)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, StrictInt, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from api.schemas.create_job import AutoLeaveIn, RecordingIn, TranscriptionIn, WebhooksIn
from api.schemas.wire import MomentOut, Printable, Request, Response
from core.calendars.bots import BotDefaults
from core.calendars.events import Facts, address
from core.calendars.models import CalendarRule
from core.calendars.rules import (
    LONGEST_PATTERN,
    Decision,
    Match,
    RuleAction,
    Why,
    normal_domain,
    pattern_problem,
)

Priority = Annotated[
    StrictInt, Field(ge=-1_000_000, le=1_000_000, description="The least is asked first.")
]
Address = Annotated[Printable, Field(min_length=3, max_length=320)]


class MatchIn(Request):
    """All conditions that are given have to hold; without any, every event matches."""

    attendee_domain: Annotated[
        Printable | None, Field(min_length=1, max_length=255, examples=["customer.com"])
    ] = None
    attendee_email: Address | None = None
    organizer_is_me: StrictBool | None = None
    max_attendees: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None
    title_regex: Annotated[
        Printable | None,
        Field(min_length=1, max_length=LONGEST_PATTERN, description="In RE2's syntax."),
    ] = None

    @field_validator("attendee_domain")
    @classmethod
    def _domain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        domain = normal_domain(value)
        if not domain or "@" in domain or " " in domain:
            raise PydanticCustomError("invalid_domain", "Write a domain such as customer.com.")
        return domain

    @field_validator("attendee_email")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if (found := address(value)) is None:
            raise PydanticCustomError("invalid_address", "Write an address such as a@example.com.")
        return found

    @field_validator("title_regex")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None and (problem := pattern_problem(value)) is not None:
            raise PydanticCustomError(
                "invalid_pattern",
                "This is no pattern that can be searched in bounded time: {problem}.",
                {"problem": problem},
            )
        return value

    def match(self) -> Match:
        return Match(**self.model_dump())


class BotDefaultsIn(Request):
    """What the bots of a rule are like, as in `POST /api/v1/jobs`."""

    display_name: Annotated[Printable, Field(min_length=1, max_length=64)] | None = None
    leave_behavior: str | None = None
    auto_leave: AutoLeaveIn | None = None
    recording: RecordingIn | None = None
    transcription: TranscriptionIn | None = None
    webhooks: WebhooksIn | None = None
    metadata: dict[str, Any] | None = None


class RuleIn(Request):
    """`connectionId` null: for the events of all connections."""

    connection_id: Annotated[str | None, Field(max_length=64)] = None
    priority: Priority = 100
    action: RuleAction
    match: MatchIn = MatchIn()
    enabled: StrictBool = True
    bot_defaults: BotDefaultsIn | None = None


class RulePatchIn(Request):
    """What is not sent stays as it is."""

    connection_id: Annotated[str | None, Field(max_length=64)] = None
    # Made by factories, so that the document shows no defaults: there are none.
    priority: Priority = Field(default_factory=int)
    action: RuleAction = Field(default_factory=lambda: RuleAction.SKIP)
    match: MatchIn = Field(default_factory=MatchIn)
    enabled: StrictBool = Field(default_factory=bool)
    bot_defaults: BotDefaultsIn | None = None


class MatchOut(Response):
    attendee_domain: str | None = None
    attendee_email: str | None = None
    organizer_is_me: bool | None = None
    max_attendees: int | None = None
    title_regex: str | None = None


class BotDefaultsOut(Response):
    display_name: str | None
    leave_behavior: str | None
    auto_leave: dict[str, Any] | None
    recording: dict[str, Any] | None
    transcription: dict[str, Any] | None
    webhooks: dict[str, Any] | None
    metadata: dict[str, Any] | None

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        found = BotDefaults.model_validate(stored)
        auto_leave = {to_camel(name): value for name, value in found.auto_leave.items()}
        return cls(
            display_name=found.display_name,
            leave_behavior=found.leave_behavior,
            auto_leave=auto_leave or None,
            recording=found.recording.model_dump() if found.recording else None,
            transcription=found.transcription.model_dump() if found.transcription else None,
            webhooks=found.webhooks,
            metadata=found.metadata or None,
        )


class RuleOut(Response):
    id: str
    connection_id: str | None
    priority: int
    action: RuleAction
    match: MatchOut
    enabled: bool
    bot_defaults: BotDefaultsOut | None
    livemode: bool
    created_at: MomentOut
    updated_at: MomentOut

    @classmethod
    def of(cls, row: CalendarRule) -> Self:
        defaults = row.bot_defaults
        return cls(
            id=row.id,
            connection_id=row.connection_id,
            priority=row.priority,
            action=row.action,
            match=MatchOut(**Match.model_validate(row.match).model_dump()),
            enabled=row.enabled,
            bot_defaults=BotDefaultsOut.of(defaults) if defaults is not None else None,
            livemode=row.livemode,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class RulesPage(Response):
    data: list[RuleOut]
    next_cursor: str | None


class TriedEventIn(Request):
    """An event that may not exist."""

    title: Annotated[str, Field(max_length=1000)] = ""
    organizer: Address | None = None
    attendees: Annotated[list[Address], Field(max_length=500, default_factory=list)]
    me: Address | None = None
    meeting_url: Annotated[str | None, Field(max_length=2048)] = None
    all_day: StrictBool = False
    declined: StrictBool = False

    def facts(self, url: str | None) -> Facts:
        organizer, me = address(self.organizer), address(self.me)
        people = tuple(found for one in self.attendees if (found := address(one)) is not None)
        return Facts(
            name="",
            title=self.title,
            organizer=organizer,
            mine=me is not None and organizer == me,
            people=people,
            me=me,
            declined=self.declined,
            all_day=self.all_day,
            url=url,
        )


class DryRunIn(Request):
    """What to decide, and by which rules; nothing comes of it.

    Without `event`: the events to come that are known, of `connectionId` or of all connections.
    Without `rules`: those that there are. Rules of the request are named `rules[0]` and so on.
    """

    event: TriedEventIn | None = None
    rules: Annotated[list[RuleIn], Field(max_length=100)] | None = None
    connection_id: Annotated[str | None, Field(max_length=64)] = None


class TriedRuleOut(Response):
    """`failed` are the conditions that did not hold."""

    rule_id: str
    priority: int
    matched: bool
    failed: list[str]


class DryDecisionOut(Response):
    """The rules in the order in which they were asked; the first that matched decided."""

    event_id: str | None
    title: str
    starts_at: MomentOut | None
    decision: RuleAction
    reason: Why
    rule_id: str | None
    rules: list[TriedRuleOut]

    @classmethod
    def of(
        cls, decision: Decision, title: str, event_id: str | None, starts_at: datetime | None
    ) -> Self:
        return cls(
            event_id=event_id,
            title=title,
            starts_at=starts_at,
            decision=decision.action,
            reason=decision.why,
            rule_id=decision.rule_id,
            rules=[
                TriedRuleOut(
                    rule_id=one.rule_id,
                    priority=one.priority,
                    matched=one.matched,
                    failed=list(one.failed),
                )
                for one in decision.tried
            ],
        )


class DryRunOut(Response):
    data: list[DryDecisionOut]

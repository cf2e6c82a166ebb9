"""Which events are recorded: the first rule by priority that matches decides (CAL-15). Pure.

Every condition of a rule has to hold. A rule without conditions matches everything; where none
matches, the event is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final

import re2
from pydantic import BaseModel, ConfigDict, Field

from core.calendars.events import Facts

LONGEST_PATTERN: Final = 200
# What a compiled pattern may take; RE2 needs time in proportion to the text, whatever it says.
PATTERN_BYTES: Final = 1 << 18


class RuleAction(StrEnum):
    RECORD = "record"
    SKIP = "skip"


class Why(StrEnum):
    """Why an event was decided as it was."""

    # The rule that matched said so.
    RULE = "rule"
    NO_RULE = "no_rule"
    # A rule wants it recorded, but there is nothing to join, or nobody to join for.
    NO_MEETING_URL = "no_meeting_url"
    ALL_DAY = "all_day"
    DECLINED = "declined"
    IN_PAST = "in_past"
    # It was to be recorded and could not be; it is tried again with every sync.
    CREDIT_EXHAUSTED = "credit_exhausted"
    CANNOT_RECORD = "cannot_record"


# What may be over by the next sync.
PASSING: Final = (Why.CREDIT_EXHAUSTED, Why.CANNOT_RECORD)


class Match(BaseModel):
    """The conditions of a rule; None: any."""

    model_config = ConfigDict(frozen=True)

    # Somebody besides the connected person has an address of this domain.
    attendee_domain: Annotated[str | None, Field(max_length=255)] = None
    # This person is invited, or invites.
    attendee_email: Annotated[str | None, Field(max_length=320)] = None
    organizer_is_me: bool | None = None
    # How many people there are, the connected one among them.
    max_attendees: Annotated[int | None, Field(ge=1)] = None
    # Found anywhere in the title; RE2's syntax.
    title_regex: Annotated[str | None, Field(max_length=LONGEST_PATTERN)] = None


@dataclass(frozen=True)
class RuleTerms:
    """A rule as far as decisions need it. Of rules with one priority the older decides."""

    id: str
    priority: int
    action: RuleAction
    match: Match


@dataclass(frozen=True)
class Tried:
    """One rule that was looked at; `failed` are the conditions that did not hold."""

    rule_id: str
    priority: int
    failed: tuple[str, ...]

    @property
    def matched(self) -> bool:
        return not self.failed


@dataclass(frozen=True)
class Decision:
    """`rule_id` is the rule that decided, None where none matched; `tried` are all looked at."""

    action: RuleAction
    why: Why
    rule_id: str | None
    tried: tuple[Tried, ...]


def decide(facts: Facts, rules: Iterable[RuleTerms]) -> Decision:
    """What is to become of an event."""
    tried: list[Tried] = []
    # Ids are of one length; the names of rules that are only tried are numbered.
    for rule in sorted(rules, key=lambda one: (one.priority, len(one.id), one.id)):
        tried.append(Tried(rule.id, rule.priority, failed_conditions(facts, rule.match)))
        if tried[-1].matched:
            action, why = rule.action, Why.RULE
            if action is RuleAction.RECORD and (kept_from := _impossible(facts)) is not None:
                action, why = RuleAction.SKIP, kept_from
            return Decision(action, why, rule.id, tuple(tried))
    return Decision(RuleAction.SKIP, Why.NO_RULE, None, tuple(tried))


def failed_conditions(facts: Facts, match: Match) -> tuple[str, ...]:
    """The conditions that do not hold, by their names on the wire."""
    return tuple(
        name
        for field, (name, holds) in CONDITIONS.items()
        if (wanted := getattr(match, field)) is not None and not holds(facts, wanted)
    )


def normal_domain(text: str) -> str:
    """`customer.com` for `@Customer.com`."""
    return text.strip().removeprefix("@").rstrip(".").lower()


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern cannot be used; None when it can."""
    if len(pattern) > LONGEST_PATTERN:
        return f"it has more than {LONGEST_PATTERN} characters"
    try:
        _compiled(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else "it cannot be read"
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return None


def _impossible(facts: Facts) -> Why | None:
    if facts.all_day:
        return Why.ALL_DAY
    if facts.declined:
        return Why.DECLINED
    return Why.NO_MEETING_URL if facts.url is None else None


def _of_domain(facts: Facts, domain: str) -> bool:
    wanted = normal_domain(domain)
    return any(one.rpartition("@")[2] == wanted for one in facts.others)


def _in_title(facts: Facts, pattern: str) -> bool:
    return bool(_compiled(pattern).search(facts.title))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = PATTERN_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)


Condition = Callable[[Facts, Any], bool]
CONDITIONS: Final[Mapping[str, tuple[str, Condition]]] = {
    "attendee_domain": ("attendeeDomain", _of_domain),
    "attendee_email": (
        "attendeeEmail",
        lambda facts, wanted: wanted.strip().lower() in facts.everybody,
    ),
    "organizer_is_me": ("organizerIsMe", lambda facts, wanted: facts.mine is wanted),
    "max_attendees": ("maxAttendees", lambda facts, most: len(facts.everybody) <= most),
    "title_regex": ("titleRegex", _in_title),
}

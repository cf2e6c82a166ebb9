"""What rules decide, as tables (CAL-12 to CAL-15)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.calendars.events import Facts
from core.calendars.rules import (
    LONGEST_PATTERN,
    Match,
    RuleAction,
    RuleTerms,
    Why,
    decide,
    pattern_problem,
)

pytestmark = pytest.mark.unit

ME, BOSS, CUSTOMER = "me@acme.com", "boss@acme.com", "eve@customer.com"
MEET = "https://meet.google.com/abc-defg-hij"
RECORD, SKIP = RuleAction.RECORD, RuleAction.SKIP


def facts(*people: str, organizer: str = BOSS, title: str = "Weekly", **more: Any) -> Facts:
    values = {
        "name": "cal:1:20260520T090000Z",
        "title": title,
        "organizer": organizer,
        "mine": organizer == ME,
        "people": (ME, *people),
        "me": ME,
        "url": MEET,
    }
    return Facts(**(values | more))


def rule(action: RuleAction = RECORD, priority: int = 1, id_: str = "a", **match: Any) -> RuleTerms:
    return RuleTerms(id_, priority, action, Match(**match))


OF_CUSTOMER = rule(attendee_domain="@Customer.com")
NOT_WITH_BOSS = rule(SKIP, 0, "b", attendee_email=BOSS, max_attendees=2)
HOSTED = rule(organizer_is_me=True)


@pytest.mark.parametrize(
    ("event", "rules", "action", "why", "decided"),
    [
        # CAL-12: record every meeting with an attendee of a domain.
        (facts(CUSTOMER), [OF_CUSTOMER], RECORD, Why.RULE, "a"),
        (facts(organizer=CUSTOMER), [OF_CUSTOMER], RECORD, Why.RULE, "a"),
        (facts("eve@notcustomer.com"), [OF_CUSTOMER], SKIP, Why.NO_RULE, None),
        (facts("eve@eu.customer.com"), [OF_CUSTOMER], SKIP, Why.NO_RULE, None),
        (facts("customer.com@evil.com"), [OF_CUSTOMER], SKIP, Why.NO_RULE, None),
        (facts(), [rule(attendee_domain="acme.com")], RECORD, Why.RULE, "a"),
        # The connected person alone is nobody else of their own domain.
        (facts(organizer=ME), [rule(attendee_domain="acme.com")], SKIP, Why.NO_RULE, None),
        # CAL-13: skip one-to-one meetings with a given person.
        (facts(), [NOT_WITH_BOSS, rule()], SKIP, Why.RULE, "b"),
        (facts(BOSS, organizer=ME), [NOT_WITH_BOSS, rule()], SKIP, Why.RULE, "b"),
        (facts(CUSTOMER), [NOT_WITH_BOSS, rule()], RECORD, Why.RULE, "a"),
        (facts(organizer=CUSTOMER), [NOT_WITH_BOSS, rule()], RECORD, Why.RULE, "a"),
        # CAL-14: record only what the connected person hosts.
        (facts(CUSTOMER, organizer=ME), [HOSTED], RECORD, Why.RULE, "a"),
        (facts(CUSTOMER), [HOSTED], SKIP, Why.NO_RULE, None),
        (facts(CUSTOMER), [rule(organizer_is_me=False)], RECORD, Why.RULE, "a"),
        # CAL-15: the first by ascending priority; skipped where none matches.
        (facts(), [], SKIP, Why.NO_RULE, None),
        (facts(), [rule(RECORD, 2, "late"), rule(SKIP, 1, "early")], SKIP, Why.RULE, "early"),
        (facts(), [rule(SKIP, 1, "z"), rule(RECORD, 1, "y")], RECORD, Why.RULE, "y"),
        (facts(), [rule(RECORD, -5, "neg"), rule(SKIP, 0, "zero")], RECORD, Why.RULE, "neg"),
        # All conditions of a rule have to hold.
        (facts(CUSTOMER), [rule(attendee_domain="customer.com", organizer_is_me=True)], SKIP,
         Why.NO_RULE, None),
        (facts(title="Q3 pricing"), [rule(title_regex="(?i)PRICING$")], RECORD, Why.RULE, "a"),
        (facts(title="Q3 prices"), [rule(title_regex="(?i)pricing")], SKIP, Why.NO_RULE, None),
        # What cannot be joined is skipped, and says which rule wanted it.
        (facts(url=None), [rule()], SKIP, Why.NO_MEETING_URL, "a"),
        (facts(all_day=True), [rule()], SKIP, Why.ALL_DAY, "a"),
        (facts(declined=True), [rule()], SKIP, Why.DECLINED, "a"),
        (facts(declined=True), [], SKIP, Why.NO_RULE, None),
    ],
)  # fmt: skip
def test_the_first_rule_that_matches_decides(
    event: Facts, rules: list[RuleTerms], action: RuleAction, why: Why, decided: str | None
) -> None:
    decision = decide(event, rules)
    assert (decision.action, decision.why, decision.rule_id) == (action, why, decided)


def test_a_decision_says_which_conditions_failed_rule_by_rule() -> None:
    rules = [
        rule(RECORD, 1, "a", attendee_domain="other.com", organizer_is_me=True, max_attendees=9),
        rule(SKIP, 2, "b", title_regex="^Weekly"),
        rule(RECORD, 3, "c"),
    ]
    tried = decide(facts(), rules).tried
    assert [(one.rule_id, one.matched) for one in tried] == [("a", False), ("b", True)]
    assert tried[0].failed == ("attendeeDomain", "organizerIsMe")


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a{2000}", "(?=x)", r"(a)\1", "x" * (LONGEST_PATTERN + 1)]
)
def test_a_pattern_that_cannot_be_bounded_is_refused_with_a_reason(pattern: str) -> None:
    assert pattern_problem(pattern)


def test_a_pattern_that_other_engines_hang_on_takes_no_time() -> None:
    """Backtracking ones need 2^200 steps here."""
    began = time.perf_counter()
    assert pattern_problem("^(a+)+$") is None
    decision = decide(facts(title="a" * 199 + "!"), [rule(title_regex="^(a+)+$")])
    assert decision.action is SKIP
    assert time.perf_counter() - began < 5


@given(
    title=st.text(max_size=300),
    people=st.lists(st.text(max_size=40), max_size=5),
    domain=st.text(max_size=40),
    most=st.integers(1, 5),
)
def test_any_event_gets_one_decision_that_rules_alone_explain(
    title: str, people: list[str], domain: str, most: int
) -> None:
    one = facts(*people, title=title)
    rules = [rule(SKIP, 1, "x", attendee_domain=domain), rule(RECORD, 2, "y", max_attendees=most)]
    decision = decide(one, rules)
    matching = [tried.rule_id for tried in decision.tried if tried.matched]
    assert matching == ([] if decision.rule_id is None else [decision.rule_id])
    assert (decision.action is RECORD) is (decision.rule_id == "y")

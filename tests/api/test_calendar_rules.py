"""Rules and events over the API (API-41, API-42, CAL-12 to CAL-15)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from core.calendars.events import Facts
from core.calendars.models import CalendarConnection, CalendarEvent
from core.calendars.rules import RuleAction, Why
from core.ids import new_id
from tests.api.conftest import MEET, Api
from tests.api.route_examples import a_calendar

pytestmark = pytest.mark.integration
RULES, EVENTS = "/api/v1/calendar/rules", "/api/v1/calendar/events"
BOSS = "boss@acme.com"
THREE: tuple[dict[str, Any], ...] = (
    {"action": "skip", "match": {"attendeeEmail": BOSS, "maxAttendees": 2}, "priority": 1},
    {"action": "record", "match": {"attendeeDomain": "@Customer.com"}, "priority": 2},
    {"action": "record", "match": {"organizerIsMe": True}, "priority": 3},
)


async def post(api: Api, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    answer = await api.live.post(path, json=body)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def an_event(api: Api, connection_id: str, title: str, **changes: Any) -> CalendarEvent:
    facts = Facts(
        name="cal:1", title=title, organizer=BOSS, mine=False, people=(BOSS,), me="me@acme.com"
    )
    starts = api.book.now + timedelta(days=1)
    row = CalendarEvent(
        id=new_id("cev", api.book.now),
        connection_id=connection_id,
        team_id=api.book.team_id,
        livemode=True,
        provider_id=title,
        facts=api.book.box.seal(SecretStr(facts.model_dump_json())),
        starts_at=starts,
        ends_at=starts + timedelta(hours=1),
        action=RuleAction.SKIP,
        why=Why.NO_RULE,
        created_at=api.book.now,
        updated_at=api.book.now,
    )
    for name, value in changes.items():
        setattr(row, name, value)
    async with api.book.database.begin() as session:
        session.add(row)
    return row


async def test_the_three_rules_of_the_reference_can_be_said(api: Api) -> None:
    made = [await post(api, RULES, rule) for rule in THREE]
    assert made[1]["match"]["attendeeDomain"] == "customer.com"
    assert made[0] | {"id": "", "createdAt": "", "updatedAt": ""} == {
        "id": "",
        "connectionId": None,
        "priority": 1,
        "action": "skip",
        "match": {
            "attendeeDomain": None,
            "attendeeEmail": BOSS,
            "organizerIsMe": None,
            "maxAttendees": 2,
            "titleRegex": None,
        },
        "enabled": True,
        "botDefaults": None,
        "livemode": True,
        "createdAt": "",
        "updatedAt": "",
    }
    listed = (await api.live.get(RULES)).json()
    assert [one["id"] for one in listed["data"]] == [one["id"] for one in reversed(made)]
    assert (await api.live.get(f"{RULES}?limit=2")).json()["nextCursor"]
    assert (await api.test.get(RULES)).json()["data"] == []


async def test_a_rule_is_changed_by_what_is_sent_and_decides_anew(api: Api) -> None:
    connection_id = await a_calendar(api.book)
    made = await post(api, RULES, THREE[1] | {"botDefaults": {"displayName": "Notes"}})
    async with api.book.database.begin() as session:
        connection = await session.get_one(CalendarConnection, connection_id)
        connection.asked_at, connection.rules_changed = None, False
    path = f"{RULES}/{made['id']}"
    changed = await api.live.patch(path, json={"enabled": False, "connectionId": connection_id})
    assert changed.status_code == 200, changed.text
    after = changed.json()
    assert (after["enabled"], after["connectionId"]) == (False, connection_id)
    assert after["match"] == made["match"]
    assert after["botDefaults"]["displayName"] == "Notes"
    assert (await api.live.patch(path, json={"botDefaults": None})).json()["botDefaults"] is None
    async with api.book.database.begin() as session:
        connection = await session.get_one(CalendarConnection, connection_id)
    assert (connection.rules_changed, connection.asked_at) == (True, api.book.now)
    assert (await api.live.delete(path)).status_code == 204
    assert (await api.live.get(path)).status_code == 404


async def test_bots_of_a_rule_are_described_as_jobs_are(api: Api) -> None:
    wanted: dict[str, Any] = {
        "displayName": "Notes",
        "leaveBehavior": "after-silence:300s",
        "autoLeave": {"afterSoloSeconds": 60},
        "recording": {"video": "off", "fps": 5},
        "webhooks": {"onFinalize": "https://hooks.example/x", "events": ["job.failed"]},
        "metadata": {"crm": "42"},
    }
    made = await post(api, RULES, {"action": "record", "botDefaults": wanted})
    shown = made["botDefaults"]
    assert shown["autoLeave"] == {"afterSoloSeconds": 60}
    assert shown["recording"] == {"video": "off", "fps": 5}
    assert shown["webhooks"] == wanted["webhooks"] | {"version": 2}
    assert (shown["transcription"], shown["metadata"]) == (None, {"crm": "42"})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ["action"]),
        ({"action": "maybe"}, ["action"]),
        ({"action": "skip", "priority": "high"}, ["priority"]),
        ({"action": "skip", "match": {"maxAttendees": 0}}, ["match", "maxAttendees"]),
        ({"action": "skip", "match": {"attendeeDomain": "@"}}, ["match", "attendeeDomain"]),
        ({"action": "skip", "match": {"attendeeEmail": "nobody"}}, ["match", "attendeeEmail"]),
        ({"action": "skip", "match": {"titleRegex": "("}}, ["match", "titleRegex"]),
        ({"action": "skip", "match": {"titleRegex": "x" * 201}}, ["match", "titleRegex"]),
        (
            {"action": "record", "botDefaults": {"leaveBehavior": "soon"}},
            ["leaveBehavior"],
        ),
        (
            {
                "action": "record",
                "botDefaults": {"webhooks": {"onFinalize": "http://169.254.169.254/"}},
            },
            ["botDefaults", "webhooks", "onFinalize"],
        ),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_at_its_field(
    api: Api, body: dict[str, Any], path: list[str]
) -> None:
    answer = await api.live.post(RULES, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issues"][0]["path"] == path


async def test_a_rule_of_no_connection_of_ours_is_not_made(api: Api) -> None:
    body = {"action": "record", "connectionId": "cal_01HXY1AB7M2QNTWA9YQRH5JEP6"}
    assert (await api.live.post(RULES, json=body)).status_code == 404


async def test_a_dry_run_explains_a_decision_rule_by_rule(api: Api) -> None:
    event = {
        "title": "Pitch",
        "organizer": BOSS,
        "attendees": [BOSS, "eve@customer.com"],
        "me": "me@acme.com",
        "meetingUrl": MEET,
    }
    body = {"event": event, "rules": list(THREE)}
    (decision,) = (await post(api, f"{RULES}/dry-run", body, 200))["data"]
    assert (decision["decision"], decision["reason"], decision["ruleId"]) == (
        "record",
        "rule",
        "rules[1]",
    )
    assert decision["rules"] == [
        {"ruleId": "rules[0]", "priority": 1, "matched": False, "failed": ["maxAttendees"]},
        {"ruleId": "rules[1]", "priority": 2, "matched": True, "failed": []},
    ]
    # Rules of one priority are asked in their order, also the eleventh.
    many = [{"action": "skip", "match": {"maxAttendees": 1}, "priority": 1}] * 11
    body = {"event": event, "rules": [*many, {"action": "record", "priority": 1}]}
    (decision,) = (await post(api, f"{RULES}/dry-run", body, 200))["data"]
    assert decision["ruleId"] == "rules[11]"
    # A link that leads nowhere is said.
    body = {"event": event | {"meetingUrl": "https://x.example/"}, "rules": [{"action": "record"}]}
    (decision,) = (await post(api, f"{RULES}/dry-run", body, 200))["data"]
    assert (decision["decision"], decision["reason"]) == ("skip", "no_meeting_url")


async def test_a_dry_run_of_what_is_known_changes_nothing(api: Api) -> None:
    connection_id = await a_calendar(api.book)
    row = await an_event(api, connection_id, "Weekly")
    stored = await post(api, RULES, {"action": "record", "match": {"titleRegex": "(?i)^week"}})
    (decision,) = (await post(api, f"{RULES}/dry-run", {}, 200))["data"]
    assert (decision["eventId"], decision["ruleId"]) == (row.id, stored["id"])
    assert (decision["decision"], decision["reason"]) == ("skip", "no_meeting_url")
    other = {"connectionId": connection_id, "rules": []}
    (decision,) = (await post(api, f"{RULES}/dry-run", other, 200))["data"]
    assert (decision["reason"], decision["rules"]) == ("no_rule", [])
    (shown,) = (await api.live.get(EVENTS)).json()["data"]
    assert (shown["decision"], shown["reason"]) == ("skip", "no_rule")


async def test_events_show_what_was_decided_and_their_jobs(api: Api) -> None:
    """API-42."""
    connection_id = await a_calendar(api.book)
    job = await api.book.add()
    recorded = await an_event(
        api,
        connection_id,
        "Pitch",
        action=RuleAction.RECORD,
        why=Why.RULE,
        rule_id="rule_1",
        job_id=job.id,
    )
    later = await an_event(api, connection_id, "Later", starts_at=api.book.now + timedelta(days=9))
    listed = (await api.live.get(EVENTS)).json()["data"]
    assert [one["id"] for one in listed] == [later.id, recorded.id]
    assert listed[1] == {
        "id": recorded.id,
        "connectionId": connection_id,
        "title": "Pitch",
        "startsAt": "2026-05-10T14:00:00.000Z",
        "endsAt": "2026-05-10T15:00:00.000Z",
        "organizer": BOSS,
        "attendees": [BOSS],
        "meetingUrl": None,
        "decision": "record",
        "reason": "rule",
        "ruleId": "rule_1",
        "jobId": job.id,
        "livemode": True,
    }
    for query, ids in (
        ("decision=record", [recorded.id]),
        ("startsBefore=2026-05-11T00:00:00Z", [recorded.id]),
        ("startsAfter=2026-05-11T00:00:00Z", [later.id]),
        (f"connectionId={connection_id}", [later.id, recorded.id]),
        ("connectionId=nonsense", []),
        ("limit=1", [later.id]),
    ):
        answer = (await api.live.get(f"{EVENTS}?{query}")).json()
        assert [one["id"] for one in answer["data"]] == ids, query
    following = (await api.live.get(f"{EVENTS}?limit=1")).json()["nextCursor"]
    rest = (await api.live.get(f"{EVENTS}?limit=1&cursor={following}")).json()
    assert ([one["id"] for one in rest["data"]], rest["nextCursor"]) == ([recorded.id], None)

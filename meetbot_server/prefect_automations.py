"""What our Prefect server does by itself: runs whose process fell silent are marked Crashed (D10).

The backstop only. Who watches the leases in our own tables is there in ten seconds; this is for a
run whose worker died with it, and for Prefect's page to tell the truth.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

ZOMBIES: Final = "Crash runs whose process is silent"
# Two heartbeats of 30 s (the least that Prefect allows) and half of one more.
SILENCE_SECONDS: Final = 75
HEARTBEAT: Final = "prefect.flow-run.heartbeat"
ENDINGS: Final = ("Completed", "Failed", "Cancelled", "Crashed")


def zombies(silence_seconds: int = SILENCE_SECONDS) -> dict[str, Any]:
    """The automation: after a heartbeat neither another one nor an end within so many seconds."""
    return {
        "name": ZOMBIES,
        "description": "Installed by meetbot-server; changes are overwritten at its next start.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {},
            "for_each": ["prefect.resource.id"],
            "after": [HEARTBEAT],
            "expect": [HEARTBEAT, *(f"prefect.flow-run.{end}" for end in ENDINGS)],
            "threshold": 1,
            "within": silence_seconds,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "name": "Crashed",
                "message": f"Its process has not been heard of for {silence_seconds} s.",
            }
        ],
        "actions_on_trigger": [],
        "actions_on_resolve": [],
    }


async def install(client: httpx.AsyncClient, wanted: dict[str, Any]) -> bool:
    """Bring the one automation of this name to what is wanted; whether anything had to change.

    Raises:
        httpx.HTTPStatusError: Prefect refused.
    """
    found = await _named(client, wanted["name"])
    same = found[:1] and _covers(found[0], wanted)
    for surplus in found[1:]:
        # Two set-ups at the same moment made one each.
        (await client.delete(f"/automations/{surplus['id']}")).raise_for_status()
    if same:
        return len(found) > 1
    if found:
        answer = await client.put(f"/automations/{found[0]['id']}", json=wanted)
    else:
        answer = await client.post("/automations/", json=wanted)
    answer.raise_for_status()
    return True


async def _named(client: httpx.AsyncClient, name: str) -> list[dict[str, Any]]:
    answer = await client.post(
        "/automations/filter", json={"automations": {"name": {"any_": [name]}}}
    )
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return sorted(found, key=lambda one: str(one["created"]))


def _covers(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; Prefect adds ids and defaults of its own."""
    match wanted:
        case dict():
            return isinstance(found, dict) and all(
                _covers(found.get(key), value) for key, value in wanted.items()
            )
        case list() if wanted and isinstance(wanted[0], str):
            # Sets, which come back in any order.
            return isinstance(found, list) and set(found) == set(wanted)
        case list():
            return (
                isinstance(found, list)
                and len(found) == len(wanted)
                and all(map(_covers, found, wanted))
            )
        case _:
            return bool(found == wanted)

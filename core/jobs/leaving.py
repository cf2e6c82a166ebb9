"""From `leaveBehavior` and `autoLeave` to one policy (LC-20 to LC-24). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from core.errors import BadInput, Issue
from core.jobs.spec import AutoLeavePolicy

WHEN_HOST_LEAVES: Final = "when-host-leaves"
EXPLICIT: Final = "explicit"
AFTER_SILENCE: Final = re.compile(r"after-silence:([1-9][0-9]*)s")
LONGEST_SECONDS: Final = 86_400


def leaving_policy(
    behavior: str | None, explicit: Mapping[str, Any], entry_delay_seconds: int
) -> AutoLeavePolicy:
    """The policy of a job.

    Args:
        behavior: the `leaveBehavior` string.
        explicit: the `autoLeave` fields that were sent, in snake case; they win (LC-23).
        entry_delay_seconds: the platform's own default (LC-24).

    Raises:
        BadInput: the string is none of the three forms (API-55).
    """
    values: dict[str, Any] = {"after_entry_delay_seconds": entry_delay_seconds}
    values |= _from_behavior(behavior)
    return AutoLeavePolicy(**(values | dict(explicit)))


def _from_behavior(behavior: str | None) -> dict[str, Any]:
    if behavior is None:
        return {}
    if behavior == WHEN_HOST_LEAVES:
        return {"when_host_leaves": True}
    if behavior == EXPLICIT:
        return {"after_silence_seconds": None, "after_solo_seconds": None}
    match = AFTER_SILENCE.fullmatch(behavior)
    if match and len(match[1]) <= 5 and int(match[1]) <= LONGEST_SECONDS:
        return {"after_silence_seconds": int(match[1])}
    message = (
        "leaveBehavior is `when-host-leaves`, `explicit` or `after-silence:<seconds>s` "
        f"with 1 to {LONGEST_SECONDS} seconds."
    )
    raise BadInput(message, [Issue(("leaveBehavior",), "invalid_leave_behavior", message)])

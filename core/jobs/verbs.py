"""The verbs that a live bot is told, and how a command ended."""

from __future__ import annotations

from enum import StrEnum


class Verb(StrEnum):
    """`leave-call` ends gracefully, `cancel` ends as `cancelled`."""

    LEAVE = "leave-call"
    CANCEL = "cancel"


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"

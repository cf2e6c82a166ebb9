"""The verbs that a live bot is told, and how a command ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Verb(StrEnum):
    """`leave-call` ends gracefully, `cancel` ends as `cancelled`."""

    LEAVE = "leave-call"
    CANCEL = "cancel"
    PAUSE = "pause-recording"
    RESUME = "resume-recording"
    STOP = "stop-recording"
    START = "start-recording"
    PIN = "pin-participant"
    CHAT = "send-chat-message"
    CONSENT = "request-recording-permission"
    SCREENSHOT = "screenshot"
    OUTPUT_MEDIA = "output-media"
    STOP_OUTPUT_MEDIA = "stop-output-media"


# What people in the room would notice twice, or a caller pay twice: claimed before it is done,
# and after a crash in between answered `unknown`, never repeated (design.md D3). All other verbs
# are state verbs: applied again by the next attempt until the state holds.
ONCE: Final = frozenset({Verb.CHAT, Verb.CONSENT, Verb.SCREENSHOT, Verb.OUTPUT_MEDIA})


class Outcome(StrEnum):
    """`unknown`: the attempt that was doing it died before it could tell."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"

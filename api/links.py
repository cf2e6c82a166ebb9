"""Links of the OpenAPI document: which operations go on with what an operation answered (DOC-07).

Programs follow them as people read them: what `createJob` made is what `getJob` shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# A job as it is created, and what is done with it then.
OF_A_JOB: Final = (
    *("getJob", "cancelJob", "leaveCall", "streamJobEvents", "getTranscript", "transcribeJob"),
    *("requestRecordingPermission", "startRecording", "pauseRecording", "resumeRecording"),
    *("stopRecording", "sendChatMessage", "pinParticipant", "takeScreenshot"),
    *("startOutputMedia", "stopOutputMedia", "getRecording", "deleteRecording"),
)
BODY_ID: Final = "$response.body#/id"
# The newest of a list.
FIRST_ID: Final = "$response.body#/data/0/id"
PATH_ID: Final = "$request.path.id"


@dataclass(frozen=True)
class Link:
    """From an answer to the `parameter` of other operations, by a runtime expression."""

    to: Sequence[str]
    parameter: str
    value: str


# By the operation that answers; for each of its successes.
LINKS: Final[Mapping[str, Link]] = {
    "createJob": Link(OF_A_JOB, "id", BODY_ID),
    "listJobs": Link(("getJob",), "id", FIRST_ID),
    "getJob": Link(("getRecording", "getTranscript"), "id", BODY_ID),
    "cancelJob": Link(("getJob",), "id", PATH_ID),
    "leaveCall": Link(("getJob", "streamJobEvents"), "id", PATH_ID),
    "transcribeJob": Link(("getTranscript",), "id", PATH_ID),
    "listRecordings": Link(("getRecording", "getTranscript"), "id", FIRST_ID),
    "deleteRecording": Link(("getRecordingDeletion",), "id", PATH_ID),
    "handOverCalendar": Link(
        ("getCalendarConnection", "syncCalendarConnection", "deleteCalendarConnection"),
        "id",
        BODY_ID,
    ),
    "createCalendarRule": Link(
        ("getCalendarRule", "changeCalendarRule", "deleteCalendarRule"), "id", BODY_ID
    ),
    "createKey": Link(("revokeKey",), "id", BODY_ID),
    "listDeliveries": Link(
        ("getDelivery", "resendDelivery"), "deliveryId", "$response.body#/data/0/deliveryId"
    ),
    "resendDelivery": Link(("getDelivery",), "deliveryId", "$response.body#/deliveryId"),
    "initCliAuth": Link(("pollCliAuth",), "nonce", "$response.body#/nonce"),
}


def of(operation_id: str) -> dict[str, Any]:
    """The `links` of a successful answer of `operation_id`, by name; empty when it has none."""
    link = LINKS.get(operation_id)
    if link is None:
        return {}
    return {
        _name(to): {"operationId": to, "parameters": {link.parameter: link.value}} for to in link.to
    }


def _name(operation_id: str) -> str:
    """`GetJob` for `getJob`: names are the client's, so that they look like types."""
    return operation_id[0].upper() + operation_id[1:]

"""Which verb a job takes when, and on which platform: the whole tables (API-06, API-68, PL-16)."""

from __future__ import annotations

import itertools
from typing import Final

import pytest

from core.errors import InvalidState, UnsupportedOnPlatform
from core.jobs.lifecycle import RecordingState, Status
from core.jobs.rules import check_allowed, check_supported
from core.jobs.verbs import Verb
from core.media_types import PLAYABLE
from core.platforms.registry import PLATFORMS, spec_of

pytestmark = pytest.mark.unit

NOT_STARTED, RUNNING, PAUSED, STOPPED = (
    RecordingState.NOT_STARTED,
    RecordingState.RECORDING,
    RecordingState.PAUSED,
    RecordingState.STOPPED,
)
# Written out again, as the requirements say it: the states of a recording that a verb takes.
STATES: dict[Verb, set[RecordingState]] = {
    Verb.PAUSE: {RUNNING},
    Verb.RESUME: {PAUSED},
    Verb.STOP: {RUNNING, PAUSED},
    Verb.START: {STOPPED},
}
WITH_A_BOT = {"in_meeting", "recording"}
ON_THE_WAY = {"queued", "joining", "entering_lobby"}


@pytest.mark.parametrize("verb", Verb, ids=lambda verb: verb.value)
@pytest.mark.parametrize("status", Status, ids=lambda status: status.value)
def test_nine_statuses_and_all_verbs(status: Status, verb: Verb) -> None:
    ends = verb in {Verb.LEAVE, Verb.CANCEL}
    for state in RecordingState:
        there = status.value in WITH_A_BOT or (ends and status.value in ON_THE_WAY)
        if there and state in STATES.get(verb, set(RecordingState)):
            check_allowed(verb, status, state)
        else:
            with pytest.raises(InvalidState, match=f"The job is {status.value}"):
                check_allowed(verb, status, state)


def test_resuming_what_records_says_so() -> None:
    """API-06."""
    with pytest.raises(InvalidState, match="its recording is recording; resume-recording needs"):
        check_allowed(Verb.RESUME, Status.RECORDING, RUNNING)


@pytest.mark.parametrize(
    ("told", "takes", "refuses"),
    [
        ([Verb.PAUSE], Verb.RESUME, Verb.PAUSE),
        ([Verb.PAUSE, Verb.RESUME], Verb.PAUSE, Verb.RESUME),
        ([Verb.STOP], Verb.START, Verb.PAUSE),
        ([Verb.PAUSE, Verb.CHAT], Verb.RESUME, Verb.START),
    ],
    ids=["paused", "resumed", "stopped", "chatted"],
)
def test_what_the_bot_was_told_and_has_not_done_yet_counts(
    told: list[Verb], takes: Verb, refuses: Verb
) -> None:
    check_allowed(takes, Status.RECORDING, RUNNING, told)
    with pytest.raises(InvalidState):
        check_allowed(refuses, Status.RECORDING, RUNNING, told)


# Jitsi's client has a verb of its own for it; the others' pages are not known to have one.
NO_PIN: Final = ("meet", "teams", "zoom", "webex", "whereby")
UNSUPPORTED: Final[dict[str, set[tuple[Verb, str | None]]]] = {
    **{slug: {(Verb.PIN, None)} for slug in NO_PIN},
    "discord": {
        (Verb.PIN, None),
        (Verb.SCREENSHOT, None),
        (Verb.OUTPUT_MEDIA, "image"),
        (Verb.OUTPUT_MEDIA, "video"),
    },
}


@pytest.mark.parametrize("slug", [spec.slug for spec in PLATFORMS])
def test_what_each_platform_supports(slug: str) -> None:
    """API-12, API-13, API-71, PL-16: browsers do all but pin, Discord speaks only."""
    asked: list[tuple[Verb, str | None]] = [
        (verb, None) for verb in Verb if verb is not Verb.OUTPUT_MEDIA
    ]
    asked += itertools.product([Verb.OUTPUT_MEDIA], PLAYABLE)
    for verb, kind in asked:
        if (verb, kind) in UNSUPPORTED.get(slug, set()):
            with pytest.raises(UnsupportedOnPlatform, match="does not support"):
                check_supported(verb, {"kind": kind}, spec_of(slug))
        else:
            check_supported(verb, {"kind": kind}, spec_of(slug))

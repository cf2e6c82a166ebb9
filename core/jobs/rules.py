"""Which verb a job takes when, and on which platform (API-06, API-68, API-71). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from core.errors import InvalidState, UnsupportedOnPlatform
from core.jobs.lifecycle import BEFORE_ROOM, IN_CALL, RecordingState, Status
from core.jobs.verbs import Verb
from core.platforms.spec import Capabilities, PlatformSpec

# From which states of the recording a verb leads on, and to which.
FROM: Final[Mapping[Verb, frozenset[RecordingState]]] = {
    Verb.PAUSE: frozenset({RecordingState.RECORDING}),
    Verb.RESUME: frozenset({RecordingState.PAUSED}),
    Verb.STOP: frozenset({RecordingState.RECORDING, RecordingState.PAUSED}),
    # A recording that has not begun begins by itself.
    Verb.START: frozenset({RecordingState.STOPPED}),
}
TO: Final[Mapping[Verb, RecordingState]] = {
    Verb.PAUSE: RecordingState.PAUSED,
    Verb.RESUME: RecordingState.RECORDING,
    Verb.STOP: RecordingState.STOPPED,
    Verb.START: RecordingState.RECORDING,
}

_Can = Callable[[Capabilities], bool]
# What a verb needs of the platform; verbs that are not listed need nothing.
_NEEDS: Final[Mapping[Verb, _Can]] = {
    Verb.CHAT: lambda can: can.chat,
    Verb.CONSENT: lambda can: can.chat,
    Verb.PIN: lambda can: can.pin,
    Verb.SCREENSHOT: lambda can: can.screenshot,
    Verb.STOP_OUTPUT_MEDIA: lambda can: can.speak or can.show_image or can.share_video,
}
_NEEDS_OF_MEDIA: Final[Mapping[str, _Can]] = {
    "audio": lambda can: can.speak,
    "image": lambda can: can.show_image,
    "video": lambda can: can.share_video,
}


def check_supported(verb: Verb, payload: Mapping[str, Any], platform: PlatformSpec) -> None:
    """Refuse what the platform cannot do, whatever state the job is in.

    Raises:
        UnsupportedOnPlatform: names the verb and the platform.
    """
    what, needed = str(verb), _NEEDS.get(verb)
    if verb is Verb.OUTPUT_MEDIA:
        kind = str(payload.get("kind"))
        what, needed = f"{verb} of kind {kind}", _NEEDS_OF_MEDIA[kind]
    if needed is not None and not needed(platform.capabilities):
        raise UnsupportedOnPlatform(f"{platform.title} does not support {what}.")


def check_allowed(
    verb: Verb, status: Status, recording_state: RecordingState, open_verbs: Sequence[Verb] = ()
) -> None:
    """Refuse a verb that has no bot to hear it, or that the recording's state makes senseless.

    Args:
        open_verbs: what the bot was told and has not answered yet, oldest first: who pauses may
            resume at once.

    Raises:
        InvalidState: names the current status, and the state of the recording where that is why.
    """
    takes = IN_CALL | BEFORE_ROOM if verb in {Verb.LEAVE, Verb.CANCEL} else IN_CALL
    if status not in takes:
        raise InvalidState(f"The job is {status}; {verb} needs a bot in the meeting.")
    needed = FROM.get(verb)
    expected = recording_state
    for told in open_verbs:
        expected = TO.get(told, expected)
    if needed is not None and expected not in needed:
        wanted = " or ".join(sorted(needed))
        raise InvalidState(
            f"The job is {status} and its recording is {expected}; {verb} needs it to be {wanted}."
        )

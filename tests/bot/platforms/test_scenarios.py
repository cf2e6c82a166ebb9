"""Platforms x scenarios on replicas (PL-03 to PL-07, PL-15, PL-17, PL-21 to PL-65, FC-02, FC-08).

A platform that is added brings its replica; the table is for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from core.errors import MeetingError
from core.jobs.failures import FailureCode
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import ReplicaRoom, Scenario
from tests.replicas.platforms import REPLICAS, ReplicaPlatform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@dataclass(frozen=True)
class Case:
    """A meeting, and how the way in ends: in the room (`code` None) or with a failure.

    `in_lobby` happens when the bot is in the lobby, `later` when it is in the room; the stay ends
    then with `ends`. `evidence` is in the failure's detail.
    """

    scenario: Scenario
    code: FailureCode | None = None
    evidence: str = ""
    retryable: bool = False
    password: str | None = None
    entry_delay: float = 30
    step_seconds: float = 50
    in_lobby: Callable[[ReplicaRoom], None] | None = None
    later: Callable[[ReplicaRoom], None] | None = None
    ends: FailureCode | None = None


LOBBY = Scenario(lobby=True)
CASES: dict[str, Case] = {
    "open room": Case(Scenario()),
    "drifted page": Case(Scenario(drifted=True)),
    "without the client's objects": Case(Scenario(api=False)),
    "without the client's objects, drifted": Case(Scenario(api=False, drifted=True)),
    "no captions": Case(Scenario(captions=False)),
    "recording notice": Case(Scenario(notice=True)),
    "interstitial": Case(Scenario(screen="interstitial")),
    "no door": Case(Scenario(screen="no_door")),
    "reload on the way in": Case(Scenario(reloads=True)),
    "lobby, admitted": Case(LOBBY, in_lobby=ReplicaRoom.admit),
    "lobby, admitted, drifted": Case(
        Scenario(lobby=True, drifted=True, typographic=True, api=False), in_lobby=ReplicaRoom.admit
    ),
    "lobby, denied": Case(
        LOBBY,
        FailureCode.HOST_DENIED_ADMISSION,
        in_lobby=lambda room: room.show("denied"),
    ),
    "lobby, denied, by texts": Case(
        Scenario(lobby=True, typographic=True, api=False),
        FailureCode.HOST_DENIED_ADMISSION,
        in_lobby=lambda room: room.show("denied"),
    ),
    "lobby, ignored": Case(LOBBY, FailureCode.LOBBY_TIMEOUT, entry_delay=0.3),
    "lobby, meeting ends": Case(
        LOBBY, FailureCode.MEETING_ENDED, in_lobby=lambda room: room.show("ended")
    ),
    "lobby, kicked": Case(
        LOBBY, FailureCode.HOST_DENIED_ADMISSION, in_lobby=lambda room: room.show("kicked")
    ),
    "host absent": Case(Scenario(host_absent=True), FailureCode.WAITING_FOR_HOST, entry_delay=0.3),
    "host comes": Case(Scenario(host_absent=True), in_lobby=ReplicaRoom.admit),
    "passcode": Case(Scenario(password="s3cret"), password="s3cret"),
    "passcode missing": Case(
        Scenario(password="s3cret"), FailureCode.AUTH_FAILURE, evidence="meeting_inaccessible: "
    ),
    "passcode wrong": Case(
        Scenario(password="s3cret"),
        FailureCode.AUTH_FAILURE,
        evidence="meeting_inaccessible: ",
        password="guess",
    ),
    "full": Case(Scenario(full=True), FailureCode.HOST_DENIED_ADMISSION, retryable=True),
    "locked for good": Case(
        Scenario(screen="locked"), FailureCode.HOST_DENIED_ADMISSION, retryable=True
    ),
    "not found": Case(Scenario(screen="not_found"), FailureCode.MEETING_NOT_FOUND),
    "over before it began": Case(Scenario(screen="ended"), FailureCode.MEETING_ENDED),
    "sign-in wall": Case(Scenario(screen="sign_in"), FailureCode.AUTH_FAILURE),
    "captcha": Case(Scenario(screen="captcha"), FailureCode.AUTH_FAILURE),
    "recording disabled": Case(
        Scenario(screen="recording_disabled"), FailureCode.RECORDING_DISABLED
    ),
    "server lost at the door": Case(
        Scenario(screen="lost"), FailureCode.NETWORK_LOSS, retryable=True
    ),
    "unknown screen": Case(
        Scenario(screen="unknown"),
        FailureCode.INTERNAL_ERROR,
        evidence="Status page",
        retryable=True,
        step_seconds=3,
    ),
    "kicked": Case(
        Scenario(),
        later=lambda room: room.show("kicked"),
        ends=FailureCode.REMOVED_FROM_MEETING,
    ),
    "kicked, by texts": Case(
        Scenario(api=False, typographic=True, drifted=True),
        later=lambda room: room.show("kicked"),
        ends=FailureCode.REMOVED_FROM_MEETING,
    ),
    "ended by the host": Case(
        Scenario(), later=lambda room: room.show("ended"), ends=FailureCode.MEETING_ENDED
    ),
    "server lost in the room": Case(
        Scenario(), later=lambda room: room.show("lost"), ends=FailureCode.NETWORK_LOSS
    ),
}


def test_what_a_platform_lacks_is_a_scenario() -> None:
    assert {name for platform in REPLICAS for name in platform.lacks} <= CASES.keys()


@pytest.mark.parametrize("name", CASES)
async def test_scenario(visits: Visits, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On all platforms at once: most of it is waiting for pages."""
    platforms = [one for one in REPLICAS if name not in one.lacks]
    outcomes = await asyncio.gather(
        *(_play(visits, one, CASES[name], monkeypatch) for one in platforms),
        return_exceptions=True,
    )
    wrong = {
        one.slug: outcome
        for one, outcome in zip(platforms, outcomes, strict=True)
        if outcome is not None
    }
    assert wrong == {}


async def _play(
    visits: Visits, platform: ReplicaPlatform, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await visits.make(platform, case.scenario)
    if case.in_lobby is not None:
        _when_in_lobby(monkeypatch, visitor, case.in_lobby)
    failure = await _failure_of(visitor, case)
    assert (failure.failure if failure else None) == case.code, failure
    if failure is None:
        await _in_the_room(visitor, case)
    else:
        assert case.evidence in failure.message
        assert len(failure.message) > 20
        assert failure.retryable == case.retryable
        assert not visitor.replica.present.is_set()


def _when_in_lobby(
    monkeypatch: pytest.MonkeyPatch, visitor: Visitor, act: Callable[[ReplicaRoom], None]
) -> None:
    """When the bot itself has seen that it waits."""
    look = visitor.room.look
    done = False

    async def watched() -> object:
        nonlocal done
        sight = await look()
        if visitor.lobbies and not done:
            done = True
            act(visitor.replica)
        return sight

    monkeypatch.setattr(visitor.room, "look", watched)


async def _failure_of(visitor: Visitor, case: Case) -> MeetingError | None:
    try:
        await visitor.enter(
            password=case.password, entry_delay=case.entry_delay, step_seconds=case.step_seconds
        )
    except MeetingError as error:
        return error
    return None


async def _in_the_room(visitor: Visitor, case: Case) -> None:
    guest = visitor.replica.guest
    assert guest is not None
    assert visitor.replica.present.is_set()
    assert (guest.name, guest.microphone, guest.camera) == ("Notes of Ada", False, False)
    assert bool(visitor.lobbies) == (case.scenario.lobby or case.scenario.host_absent)
    if case.later is not None:
        case.later(visitor.replica)
        sight = await visitor.until_over()
        assert sight.failure is not None
        assert sight.failure.failure == case.ends
        assert len(sight.failure.message) > 20

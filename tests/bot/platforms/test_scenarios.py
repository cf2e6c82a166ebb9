"""Platforms x scenarios on replicas (PL-03 to PL-17, PL-21 to PL-65, FC-02 to FC-08).

Each row is a job of its own, taken to its end by the stages of its flow: status, code, what its
page showed, and what it costs. A platform that is added brings its replica; the table is for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from playwright.async_api import Browser

from bot.browser.guard import Refusal
from core.errors import HostDenied
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.platforms.registry import spec_of
from core.settings import PrefectSettings
from tests.bot.platforms.conftest import Visits
from tests.bot.platforms.meetings import NAME, Attended, Meetings, guard_egress
from tests.replicas.common.rooms import ReplicaRoom, Scenario
from tests.replicas.platforms import REPLICAS, ReplicaPlatform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

FREE = Decimal("0.000")
# 90 seconds are 0.025 hours at 0.30 dollars.
PAID = Decimal("0.008")


@dataclass(frozen=True)
class Case:
    """A meeting, and how its job ends: completed (`code` None) or with a failure.

    `in_lobby` happens when the bot is in the lobby, `later` when it is in the room; without it
    the customer has the bot leave. A bot that was in the room has recorded `seconds`.
    `says` is in the failure's detail. `cancelled`: the customer withdraws the job in the lobby.
    """

    scenario: Scenario
    code: FailureCode | None = None
    says: str = ""
    retryable: bool = False
    password: str | None = None
    entry_delay: int = 30
    step_seconds: float = 50
    on_bot_detected: bool = False
    cancelled: bool = False
    in_lobby: Callable[[ReplicaRoom], None] | None = None
    later: Callable[[ReplicaRoom], None] | None = None
    exit_reason: ExitReason = ExitReason.LEAVE_REQUESTED
    seconds: int = 90
    amount: Decimal = PAID


def refused(scenario: Scenario, code: FailureCode, **more: object) -> Case:
    """The bot is never in the room, so nothing is recorded and nothing billed (FC-04)."""
    reason = ExitReason.ERROR
    return Case(scenario, code, seconds=0, amount=FREE, exit_reason=reason, **more)  # type: ignore[arg-type]


LOBBY = Scenario(lobby=True)
OTHERS = ("Ada Park", "Otter.ai")
CASES: dict[str, Case] = {
    "open room": Case(Scenario()),
    "drifted page": Case(Scenario(drifted=True)),
    "without the client's objects": Case(Scenario(api=False)),
    "without the client's objects, drifted": Case(Scenario(api=False, drifted=True)),
    "no captions": Case(Scenario(captions=False)),
    "other language": Case(Scenario(translated=True)),
    "recording notice": Case(Scenario(notice=True)),
    "consent to an AI's notes": Case(Scenario(ai_notes=True)),
    "interstitial": Case(Scenario(screen="interstitial")),
    "no door": Case(Scenario(screen="no_door")),
    "shared screen": Case(Scenario(shares=True)),
    "other bots": Case(Scenario(people=OTHERS)),
    "other bots, bot leaves": Case(
        Scenario(people=OTHERS), on_bot_detected=True, exit_reason=ExitReason.COMPETING_BOT
    ),
    "reload on the way in": Case(Scenario(reloads=True)),
    "lobby, admitted": Case(LOBBY, in_lobby=ReplicaRoom.admit),
    "lobby, admitted, drifted": Case(
        Scenario(lobby=True, drifted=True, typographic=True, api=False), in_lobby=ReplicaRoom.admit
    ),
    "lobby, page loads anew": Case(LOBBY, in_lobby=ReplicaRoom.reload),
    "lobby, denied": refused(
        LOBBY,
        FailureCode.HOST_DENIED_ADMISSION,
        in_lobby=lambda room: room.show("denied"),
    ),
    "lobby, denied, by texts": refused(
        Scenario(lobby=True, typographic=True, api=False),
        FailureCode.HOST_DENIED_ADMISSION,
        in_lobby=lambda room: room.show("denied"),
    ),
    "lobby, ignored": refused(LOBBY, FailureCode.LOBBY_TIMEOUT, entry_delay=1),
    "lobby, meeting ends": refused(
        LOBBY, FailureCode.MEETING_ENDED, in_lobby=lambda room: room.show("ended")
    ),
    "lobby, kicked": refused(
        LOBBY, FailureCode.HOST_DENIED_ADMISSION, in_lobby=lambda room: room.show("kicked")
    ),
    "lobby, cancelled": Case(
        LOBBY, cancelled=True, exit_reason=ExitReason.CANCELLED, seconds=0, amount=FREE
    ),
    "lobby, network cut": refused(
        LOBBY, FailureCode.NETWORK_LOSS, retryable=True, in_lobby=ReplicaRoom.cut
    ),
    "host absent": refused(Scenario(host_absent=True), FailureCode.WAITING_FOR_HOST, entry_delay=1),
    "host comes": Case(Scenario(host_absent=True), in_lobby=ReplicaRoom.admit),
    "passcode": Case(Scenario(password="s3cret"), password="s3cret"),
    "passcode missing": refused(
        Scenario(password="s3cret"), FailureCode.AUTH_FAILURE, says="meeting_inaccessible: "
    ),
    "passcode wrong": refused(
        Scenario(password="s3cret"),
        FailureCode.AUTH_FAILURE,
        says="meeting_inaccessible: ",
        password="guessed",
    ),
    "full": refused(Scenario(full=True), FailureCode.HOST_DENIED_ADMISSION, retryable=True),
    "locked for good": refused(
        Scenario(screen="locked"), FailureCode.HOST_DENIED_ADMISSION, retryable=True
    ),
    "not found": refused(Scenario(screen="not_found"), FailureCode.MEETING_NOT_FOUND),
    "over before it began": refused(Scenario(screen="ended"), FailureCode.MEETING_ENDED),
    "sign-in wall": refused(Scenario(screen="sign_in"), FailureCode.AUTH_FAILURE),
    "captcha": refused(Scenario(screen="captcha"), FailureCode.AUTH_FAILURE),
    "recording disabled": refused(
        Scenario(screen="recording_disabled"), FailureCode.RECORDING_DISABLED
    ),
    "server lost at the door": refused(
        Scenario(screen="lost"), FailureCode.NETWORK_LOSS, retryable=True
    ),
    "unknown screen": refused(
        Scenario(screen="unknown"),
        FailureCode.INTERNAL_ERROR,
        says="Status page",
        retryable=True,
        step_seconds=3,
    ),
    "kicked": Case(
        Scenario(),
        FailureCode.REMOVED_FROM_MEETING,
        later=lambda room: room.show("kicked"),
        exit_reason=ExitReason.KICKED,
    ),
    "kicked, by texts": Case(
        Scenario(api=False, typographic=True, drifted=True),
        FailureCode.REMOVED_FROM_MEETING,
        later=lambda room: room.show("kicked"),
        exit_reason=ExitReason.KICKED,
    ),
    "kicked before a minute was recorded": Case(
        Scenario(),
        FailureCode.REMOVED_FROM_MEETING,
        later=lambda room: room.show("kicked"),
        exit_reason=ExitReason.KICKED,
        seconds=59,
        amount=FREE,
    ),
    "ended by the host": Case(
        Scenario(), later=lambda room: room.show("ended"), exit_reason=ExitReason.CALL_ENDED
    ),
    "network cut in the room": Case(
        Scenario(),
        FailureCode.NETWORK_LOSS,
        later=ReplicaRoom.cut,
        exit_reason=ExitReason.NETWORK_LOSS,
    ),
    "server lost in the room, and there again": Case(
        Scenario(), later=lambda room: room.show("lost")
    ),
}


def test_what_a_platform_lacks_is_a_scenario() -> None:
    assert {name for platform in REPLICAS for name in platform.lacks} <= CASES.keys()


@pytest.mark.parametrize("name", CASES)
async def test_scenario(meetings: Meetings, name: str) -> None:
    """On all platforms at once: most of it is waiting for pages."""
    platforms = [one for one in REPLICAS if name not in one.lacks]
    outcomes = await asyncio.gather(
        *(_play(meetings, one, CASES[name]) for one in platforms), return_exceptions=True
    )
    wrong = {
        one.slug: outcome
        for one, outcome in zip(platforms, outcomes, strict=True)
        if outcome is not None
    }
    assert wrong == {}


async def _play(meetings: Meetings, platform: ReplicaPlatform, case: Case) -> None:
    async def in_lobby(replica: ReplicaRoom, job: Job) -> None:
        if case.cancelled:
            await meetings.cancel(job)
        elif case.in_lobby is not None:
            case.in_lobby(replica)

    async def in_room(replica: ReplicaRoom, job: Job) -> None:
        guest = replica.guest
        assert guest is not None
        assert (guest.name, guest.microphone, guest.camera) == (NAME, False, False)
        if case.later is not None:
            case.later(replica)
            if case.exit_reason is not ExitReason.LEAVE_REQUESTED:
                return
            await _there_again(replica, guest)
        if not case.on_bot_detected:
            await meetings.leave(job)

    went = await meetings.attend(
        platform,
        case.scenario,
        seconds=case.seconds,
        on_lobby=in_lobby,
        in_room=in_room,
        password=case.password,
        entry_delay=case.entry_delay,
        step_seconds=case.step_seconds,
        on_bot_detected=case.on_bot_detected,
    )
    job = went.job
    assert job.failure_code == case.code, job.failure_detail
    expected = Status.COMPLETED if case.code is None else Status.FAILED
    assert job.status is (Status.CANCELLED if case.cancelled else expected)
    assert job.exit_reason is case.exit_reason
    waited = case.scenario.lobby or case.scenario.host_absent
    assert (Status.ENTERING_LOBBY in went.statuses) == waited
    assert not went.replica.consented
    assert not went.left, "everything is in storage (MF-20)"
    if case.cancelled:
        await _withdrawn(went.replica)
    _check_bill(went, case)
    _check_failure(went, case)


async def _withdrawn(replica: ReplicaRoom) -> None:
    """LC-12: the page itself has said so to its server, before it went."""
    async with asyncio.timeout(10):
        await replica.gone.wait()
    assert replica.guest is not None
    assert "left" in [said["type"] for said in replica.guest.heard]
    assert not replica.present.is_set()


async def _there_again(replica: ReplicaRoom, before: object) -> None:
    """Until another page of the bot is in the room."""
    async with asyncio.timeout(60):
        while replica.guest is before or replica.joins < 2:
            await asyncio.sleep(0.05)


def _check_bill(went: Attended, case: Case) -> None:
    job = went.job
    assert (job.duration_seconds or 0, job.amount_usd) == (case.seconds, case.amount)
    assert job.billed is (case.amount > 0)
    assert (job.manifest_uri is not None) == ("manifest.json" in went.kept) == (case.seconds > 0)
    assert (Status.IN_MEETING in went.statuses) == (case.seconds > 0)


def _check_failure(went: Attended, case: Case) -> None:
    """A failure says in words what was seen, and has the page for whoever doubts it."""
    job = went.job
    if case.code is None:
        assert (went.failure is not None) == case.cancelled
        assert job.failure_detail is None
        return
    detail = job.failure_detail or ""
    assert case.says in detail
    assert len(detail) > 20
    if case.seconds == 0:
        assert went.failure is not None
        assert went.failure.retryable == case.retryable
        assert not went.replica.present.is_set()
    endings = {name.partition(".")[2] for name in went.evidence}
    assert endings >= {"png", "html", "url.txt"}
    assert all(one["name"] in went.evidence for one in job.evidence or ())
    assert len(job.evidence or ()) == len(went.evidence)
    assert not any(b"s3cret" in data or b"guessed" in data for data in went.evidence.values())


CAN_RECEIVE_LESS = [one for one in REPLICAS if spec_of(one.slug).capabilities.stop_incoming_video]


@pytest.mark.parametrize("platform", CAN_RECEIVE_LESS, ids=[one.slug for one in CAN_RECEIVE_LESS])
async def test_who_claims_to_receive_no_video_tells_the_client(
    visits: Visits, platform: ReplicaPlatform
) -> None:
    """D6: by the client's own verb, which has it stop asking its server."""
    visitor = await visits.make(platform, Scenario())
    await visitor.enter()
    assert await visitor.room.stop_incoming_video()


async def test_a_locked_room_is_tried_three_times_by_the_flow_itself(
    meetings: Meetings, prefect_server: PrefectSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PL-62, PL-15: a page for each attempt, and then the host's no."""
    whereby = next(one for one in REPLICAS if one.slug == "whereby")
    locked = Scenario(screen="locked")
    went = await meetings.by_flow(whereby, locked, prefect_server, monkeypatch)
    job = went.job
    assert (job.status, job.failure_code) == (Status.FAILED, FailureCode.HOST_DENIED_ADMISSION)
    assert "This room is locked" in (job.failure_detail or "")
    assert went.replica.pages == 3
    assert {name.partition(".")[0] for name in went.evidence} == {f"join-1-{n}" for n in (1, 2, 3)}
    assert job.amount_usd == FREE
    assert all(one["uri"] in went.page for one in job.evidence or ()), "linked from the run"


async def test_a_refusal_is_logged_with_the_shape_of_the_client(
    visits: Visits, caplog: pytest.LogCaptureFixture
) -> None:
    """PL-48, FC-02: the failure quotes the page, the log has what a developer needs."""
    jitsi = next(one for one in REPLICAS if one.slug == "jitsi")
    visitor = await visits.make(jitsi, LOBBY)
    with caplog.at_level("INFO"):
        entering = asyncio.create_task(visitor.enter())
        await visitor.replica.knocked.wait()
        visitor.replica.show("denied")
        with pytest.raises(HostDenied, match="rejected by a moderator"):
            await entering
    *_, line = [one for one in caplog.messages if "jitsi:not admitted" in one]
    assert "rejected by a moderator" in line
    assert "APP.conference has isJoined" in line


async def test_a_whole_meeting_goes_through_the_egress_guard(
    meetings: Meetings, replica_browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D19: page, sockets and all; what the page wants of the inside world is refused."""
    guards = guard_egress(monkeypatch)
    jitsi = next(one for one in REPLICAS if one.slug == "jitsi")
    own_server = replace(jitsi, url=f"{jitsi.origin}{meetings.port}/{{room}}")
    asked: list[str] = []

    async def in_room(replica: ReplicaRoom, job: Job) -> None:
        pages = [page for context in replica_browser.contexts for page in context.pages]
        (page,) = [one for one in pages if meetings.port in one.url]
        wanted = "fetch('https://intranet.example/').then(() => 'there', () => 'refused')"
        asked.append(await page.evaluate(wanted))
        await meetings.leave(job)

    async def nothing(replica: ReplicaRoom, job: Job) -> None:
        raise AssertionError("there is no lobby")

    went = await meetings.attend(
        own_server, Scenario(), seconds=90, on_lobby=nothing, in_room=in_room
    )
    assert (went.job.status, went.job.amount_usd) == (Status.COMPLETED, PAID)
    assert asked == ["refused"]
    (guard,) = guards
    assert set(guard.refused) == {Refusal.PRIVATE_ADDRESS}

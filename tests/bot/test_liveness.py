"""Quiet or dead: what proves that media can flow, and how soon its absence is known (D10)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.browser.bridge import Bridge, PageError
from bot.endings import Lost
from bot.liveness import (
    NO_ANSWER_SECONDS,
    NO_ARRIVAL_SECONDS,
    TICK_SECONDS,
    ConnectionSeen,
    Liveness,
    PulseSeen,
    Signs,
    TrackPulse,
    Vitals,
    diagnose,
)
from tests.support.clock import ManualClock

pytestmark = pytest.mark.unit

PULSE_SECONDS = 2.0


@pytest.mark.parametrize(
    ("vitals", "dead"),
    [
        (Vitals(answered_at=100), None),
        (Vitals(answered_at=93), None),
        (Vitals(answered_at=92), "did not answer"),
        (Vitals(answered_at=100, arrived_at=99, pulse_at=100), None),
        (Vitals(answered_at=100, arrived_at=92, pulse_at=100), "connections"),
        # Nothing was told since: that says nothing about the connections.
        (Vitals(answered_at=100, arrived_at=92, pulse_at=94), None),
        (Vitals(answered_at=100, arrived_at=100, pulse_at=100, starved_since=94), None),
        (Vitals(answered_at=100, arrived_at=100, pulse_at=100, starved_since=93), "sound"),
        (Vitals(answered_at=90, arrived_at=80, pulse_at=90, starved_since=70), "did not answer"),
    ],
)
def test_what_is_dead_and_what_is_not(vitals: Vitals, dead: str | None) -> None:
    lost = diagnose(vitals, now=100)
    if dead is None:
        assert lost is None
    else:
        assert lost is not None
        assert dead in lost.reason


def test_every_verdict_comes_within_ten_seconds() -> None:
    assert NO_ANSWER_SECONDS + TICK_SECONDS <= 10
    assert NO_ARRIVAL_SECONDS + PULSE_SECONDS + TICK_SECONDS <= 10


class Page:
    """Plays a page's pulses, two seconds apart; `unmuted` are the tracks of open microphones."""

    def __init__(self) -> None:
        self.now = 0.0
        self.unmuted: set[str] = set()
        self.signs = Signs(self.unmuted.__contains__, 0)
        self._arrived: dict[int, int] = {}
        self._packets: dict[str, int] = {}

    def beat(self, *moving: int | str, still: tuple[int | str, ...] = (), times: int = 1) -> None:
        """Pulses in which these connections and tracks get something, and those nothing."""
        for _ in range(times):
            self.now += PULSE_SECONDS
            for key in moving:
                store: dict[Any, int] = self._arrived if isinstance(key, int) else self._packets
                store[key] = store.get(key, 0) + 100
            there = {*moving, *still}
            self.signs.pulse(
                PulseSeen(
                    doc="d",
                    connections=tuple(
                        ConnectionSeen(number=n, state="connected", arrived=self._arrived.get(n, 0))
                        for n in there
                        if isinstance(n, int)
                    ),
                    tracks=tuple(
                        TrackPulse(trackId=t, packets=self._packets.get(t, 0))
                        for t in there
                        if isinstance(t, str)
                    ),
                ),
                self.now,
            )

    def verdict(self) -> Lost | None:
        return diagnose(self.signs.vitals(self.now), self.now)


def test_a_meeting_in_which_everybody_is_muted_is_quiet() -> None:
    """ICE's own checks still arrive."""
    page = Page()
    page.unmuted = set()
    page.beat(1, "ada")
    page.beat(1, still=("ada",), times=30)
    assert page.verdict() is None


def test_connections_on_which_nothing_arrives_are_dead() -> None:
    page = Page()
    page.beat(1, 2, times=5)
    page.beat(still=(1, 2), times=3)
    assert page.verdict() is None
    page.beat(still=(1, 2))
    lost = page.verdict()
    assert lost == Lost("the connections to the meeting were dead", 10.0, answers=True)


def test_one_dead_connection_among_living_ones_is_somebody_elses_trouble() -> None:
    page = Page()
    page.beat(1, 2, times=5)
    page.beat(1, still=(2,), times=20)
    assert page.verdict() is None


def test_connections_that_the_page_closed_are_not_waited_for() -> None:
    """Everybody else has left: the page has no connection any more, and that is no death."""
    page = Page()
    page.beat(1, times=5)
    for _ in range(20):
        page.now += 1
        page.signs.answered(page.now)
        assert page.verdict() is None


def test_a_speaker_without_packets_while_others_have_some_is_dead() -> None:
    page = Page()
    page.unmuted.update({"ada", "ben"})
    page.beat(1, "ada", "ben", times=15)
    page.beat(1, "ben", still=("ada",), times=3)
    assert page.verdict() is None
    page.beat(1, "ben", still=("ada",))
    lost = page.verdict()
    assert lost is not None
    assert (lost.since, lost.answers) == (30.0, True)


@pytest.mark.parametrize("why", ["muted", "nobody talks", "never steady"])
def test_a_track_without_packets_may_have_its_reasons(why: str) -> None:
    page = Page()
    page.unmuted.update({"ada", "ben"})
    if why == "never steady":
        # A client that sends nothing in silence.
        for _ in range(8):
            page.beat(1, "ada", "ben", times=3)
            page.beat(1, "ben", still=("ada",), times=2)
    else:
        page.beat(1, "ada", "ben", times=15)
    if why == "muted":
        page.unmuted.discard("ada")
    talking = () if why == "nobody talks" else ("ben",)
    page.beat(1, *talking, still=tuple({"ada", "ben"} - set(talking)), times=10)
    assert page.verdict() is None


class FakePage:
    """The bridge's side of a page: answers pings while it lives."""

    def __init__(self) -> None:
        self.alive = True
        self.asked = 0
        self.on: Any = lambda *_: None

    async def call(self, command: str, *, timeout: float) -> bool:
        assert command == "liveness.ping"
        self.asked += 1
        if not self.alive:
            raise PageError("The page did not answer.")
        return True


async def passed(clock: ManualClock, seconds: float, step: float = 1.0) -> None:
    for _ in range(round(seconds / step)):
        for _ in range(5):
            await asyncio.sleep(0)
        clock.advance(step)
    for _ in range(5):
        await asyncio.sleep(0)


def watch(page: FakePage, clock: ManualClock) -> asyncio.Task[Lost]:
    # The real bridge's other half is proven with a real page in tests/bot/session.
    bridge: Any = page
    assert hasattr(Bridge, "call")
    return asyncio.create_task(Liveness(bridge, lambda _: False, clock).until_dead())


async def test_a_page_that_answers_lives_for_ever() -> None:
    page, clock = FakePage(), ManualClock()
    watching = watch(page, clock)
    await passed(clock, 120)
    assert not watching.done()
    assert page.asked > 60
    watching.cancel()


async def test_a_page_that_stops_answering_is_known_dead_in_ten_seconds() -> None:
    page, clock = FakePage(), ManualClock()
    watching = watch(page, clock)
    await passed(clock, 5)
    page.alive = False
    await passed(clock, 10)
    assert watching.done()
    lost = await watching
    assert "did not answer" in lost.reason
    assert not lost.answers
    assert lost.since == pytest.approx(5, abs=1.5)


async def test_a_bot_that_was_asleep_itself_blames_nobody() -> None:
    """A frozen process, a suspended machine: afterwards the page gets its time to answer."""
    page, clock = FakePage(), ManualClock()
    watching = watch(page, clock)
    await passed(clock, 5)
    clock.advance(60)
    await passed(clock, 5)
    assert not watching.done()
    watching.cancel()

"""Whether media can still flow: proven every second, and a verdict within ten (design.md D10).

Quiet is not dead. A meeting in which everybody is muted still answers: the page to a ping, the
connections to ICE's checks. Dead is a page that does not answer, connections on which nothing at
all arrives any more, or a speaker's track without packets while others' have some.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from bot.browser.bridge import Bridge
from bot.capture.frames import Count, Message, Short
from bot.endings import Lost
from core.clock import Clock
from core.errors import MeetingError

TICK_SECONDS: Final = 1.0
# All verdicts come within ten seconds; a busy machine gives a page its turn well before that.
NO_ANSWER_SECONDS: Final = 8.0
NO_ARRIVAL_SECONDS: Final = 7.0
# A track that came without a break for so long is one of a sender that also sends silence.
STEADY_SECONDS: Final = 20.0
# A document whose pulses stopped while the page answers is a frame that is gone.
FORGET_SECONDS: Final = 6.0
# When we ourselves slept so long, nobody could be heard: that proves nothing about the page.
OVERSLEPT_SECONDS: Final = 3.0
MAX_DOCUMENTS: Final = 64


class ConnectionSeen(Message):
    """A connection that has been connected. `arrived` only grows: bytes and ICE messages."""

    number: Count
    state: Annotated[str, Field(max_length=20)]
    arrived: Annotated[int, Field(ge=0)]


class TrackPulse(Message):
    """A live, unmuted audio track and the packets that it has received so far."""

    track_id: Short
    packets: Annotated[int, Field(ge=0)]


class PulseSeen(Message):
    """What one document tells every two seconds while it has connections (kind `pulse`)."""

    doc: Short
    connections: Annotated[tuple[ConnectionSeen, ...], Field(max_length=100)]
    tracks: Annotated[tuple[TrackPulse, ...], Field(max_length=400)]


@dataclass(frozen=True)
class Vitals:
    """Signs of life, in seconds of one monotonic clock.

    `answered_at`: the page, last. `arrived_at`: anything on any connection, last; None while no
    connection is expected to carry something. `pulse_at`: when that was looked at, last.
    `starved_since`: a speaker's track has had no packets, while others had; None when none is.
    """

    answered_at: float
    arrived_at: float | None = None
    pulse_at: float | None = None
    starved_since: float | None = None


def diagnose(vitals: Vitals, now: float) -> Lost | None:
    """What is dead, or None for what is alive or merely quiet."""
    if now - vitals.answered_at >= NO_ANSWER_SECONDS:
        return Lost("the meeting page did not answer any more", vitals.answered_at)
    if vitals.pulse_at is None:
        return None
    for since, reason in (
        (vitals.arrived_at, "the connections to the meeting were dead"),
        (vitals.starved_since, "a speaker's sound did not arrive any more"),
    ):
        # As of the last pulse: a page that tells nothing just now says nothing about them.
        if since is not None and vitals.pulse_at - since >= NO_ARRIVAL_SECONDS:
            return Lost(reason, since, answers=True)
    return None


@dataclass
class _Counter:
    """A counter of the page. It has grown in every pulse from `steady_since` to `moved_at`."""

    value: int
    seen_at: float
    moved_at: float
    steady_since: float

    def take(self, value: int, now: float) -> None:
        if value > self.value:
            if self.moved_at < self.seen_at:
                self.steady_since = now
            self.moved_at = now
        self.value, self.seen_at = value, now


@dataclass
class _Document:
    pulse_at: float
    connections: dict[int, _Counter] = field(default_factory=dict)
    tracks: dict[str, _Counter] = field(default_factory=dict)


class Signs:
    """What the pulses of a page add up to. `unmuted`: whether a track's owner is known to be."""

    def __init__(self, unmuted: Callable[[str], bool], now: float) -> None:
        self._unmuted = unmuted
        self._answered_at = now
        self._documents: dict[str, _Document] = {}

    def answered(self, now: float) -> None:
        """The page gave any sign of life."""
        self._answered_at = max(self._answered_at, now)

    def pulse(self, seen: PulseSeen, now: float) -> None:
        """A document told how its connections are."""
        self.answered(now)
        if seen.doc not in self._documents and len(self._documents) >= MAX_DOCUMENTS:
            return
        before = self._documents.get(seen.doc, _Document(now))
        self._documents[seen.doc] = _Document(
            now,
            {
                one.number: _counted(before.connections.get(one.number), one.arrived, now)
                for one in seen.connections
            },
            {
                one.track_id: _counted(before.tracks.get(one.track_id), one.packets, now)
                for one in seen.tracks
                if self._unmuted(one.track_id)
            },
        )

    def vitals(self, now: float) -> Vitals:
        """The sum of everything until now."""
        if self._answered_at > now - FORGET_SECONDS:
            self._documents = {
                doc: one
                for doc, one in self._documents.items()
                if now - one.pulse_at < FORGET_SECONDS
            }
        documents = self._documents.values()
        connections = [counter for one in documents for counter in one.connections.values()]
        return Vitals(
            answered_at=self._answered_at,
            arrived_at=max((one.moved_at for one in connections), default=None),
            pulse_at=max((one.pulse_at for one in documents), default=None),
            starved_since=self._starved_since(),
        )

    def _starved_since(self) -> float | None:
        tracks = [
            (track, one.pulse_at)
            for one in self._documents.values()
            for track in one.tracks.values()
        ]
        if not any(track.moved_at == pulse_at for track, pulse_at in tracks):
            return None
        starved = [
            track.moved_at
            for track, _ in tracks
            if track.moved_at - track.steady_since >= STEADY_SECONDS
        ]
        return min(starved, default=None)


def _counted(counter: _Counter | None, value: int, now: float) -> _Counter:
    if counter is None:
        return _Counter(value, now, now, now)
    counter.take(value, now)
    return counter


class Liveness:
    """Watches the page that the bridge is attached to."""

    def __init__(self, bridge: Bridge, unmuted: Callable[[str], bool], clock: Clock) -> None:
        self._bridge = bridge
        self._unmuted = unmuted
        self._clock = clock
        self._signs = Signs(unmuted, clock.monotonic())
        bridge.on("pulse", PulseSeen, self._on_pulse)

    async def until_dead(self) -> Lost:
        """Watch a page from now on; returns when nothing can be recorded of it any more."""
        last = self._clock.monotonic()
        self._signs = Signs(self._unmuted, last)
        asking = asyncio.create_task(self._ask(), name="ping")
        try:
            while True:
                await self._clock.sleep(TICK_SECONDS)
                now = self._clock.monotonic()
                if now - last > OVERSLEPT_SECONDS:
                    self._signs.answered(now)
                last = now
                lost = diagnose(self._signs.vitals(now), now)
                if lost is not None:
                    return lost
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _ask(self) -> None:
        """One ping after the other."""
        while True:
            with contextlib.suppress(MeetingError):
                await self._bridge.call("liveness.ping", timeout=NO_ANSWER_SECONDS)
                self._signs.answered(self._clock.monotonic())
            await self._clock.sleep(TICK_SECONDS)

    def _on_pulse(self, seen: PulseSeen) -> None:
        self._signs.pulse(seen, self._clock.monotonic())

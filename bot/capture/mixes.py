"""Tracks that carry several people: whose voice each packet holds.

A server either sends those who speak on a few tracks in turn (Meet: three of them) or mixes all
voices into one (Teams). Two things tell them apart: the contributing sources (CSRC) that the mixer
writes into each packet's header, and what the page says about who is speaking. A packet goes to
everybody whose voice is in it; where a mix holds two voices, both files hold both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from bot.capture.attribution import Mix, SourceOwner
from bot.capture.audio_track import Packet

# A header has room for fifteen; a page could send more names than there are people.
MAX_SOURCES: Final = 2000
MAX_SPEECHES: Final = 200
# Virtual tracks get numbers of their own, far from those of real ones.
_FIRST: Final = 1_000_000


@dataclass(frozen=True)
class Share:
    """A packet for one voice. `key` names the source while nobody knows whose it is."""

    key: str
    participant_id: str | None
    packet: Packet


@dataclass
class _Speech:
    """Somebody speaks, from `start_ms`; `end_ms` is None while they do."""

    start_ms: float
    end_ms: float | None = None


class Mixes:
    """What is known about sources and speakers. Bounded, because a page says it."""

    def __init__(self) -> None:
        self._owners: dict[int, SourceOwner] = {}
        self._mixes: dict[str, Mix] = {}
        # Tracks in which sources were seen.
        self._sourced: set[str] = set()
        self._speeches: dict[str, deque[_Speech]] = {}
        # To whom the last packet of each real track went.
        self._last: dict[int, frozenset[str]] = {}
        self._numbers: dict[str, int] = {}

    def own(self, owner: SourceOwner) -> bool:
        """Take a claim about a source; False when it changes nothing."""
        known = self._owners.get(owner.csrc)
        if known == owner or (known is None and len(self._owners) >= MAX_SOURCES):
            return False
        self._owners[owner.csrc] = owner
        return True

    def declare(self, mix: Mix) -> bool:
        """A track holds whoever is speaking; False when that was known, or is too much."""
        if self._mixes.get(mix.track_id) == mix or len(self._mixes) >= MAX_SOURCES:
            return False
        self._mixes[mix.track_id] = mix
        return True

    def speaks(self, participant_id: str, at_ms: float, *, speaking: bool) -> None:
        """Somebody began to speak, or stopped; `at_ms` on the clock of packets."""
        said = self._speeches.setdefault(participant_id, deque(maxlen=MAX_SPEECHES))
        goes_on = bool(said) and said[-1].end_ms is None
        if speaking and not goes_on:
            said.append(_Speech(at_ms))
        elif not speaking and goes_on:
            said[-1].end_ms = max(at_ms, said[-1].start_ms)

    def holds(self, packet: Packet, track_id: str) -> bool:
        """Whether the track carries several people, as far as is known by now."""
        return bool(packet.csrcs) or track_id in self._sourced or track_id in self._mixes

    def shares(self, packet: Packet, track_id: str) -> Iterator[Share]:
        """The packet for each voice in it; none where nobody speaks."""
        voices = dict(self._voices(packet, track_id))
        before = self._last.get(packet.track, frozenset())
        self._last[packet.track] = frozenset(voices)
        for key, participant_id in voices.items():
            yield Share(key, participant_id, self._piece(packet, key, goes_on=key in before))

    def _voices(self, packet: Packet, track_id: str) -> Iterator[tuple[str, str | None]]:
        if packet.csrcs:
            self._sourced.add(track_id)
            heard: set[str] = set()
            for csrc in packet.csrcs:
                owner = self._owners.get(csrc)
                if owner is None:
                    yield source_key(csrc), None
                elif owner.participant_id is not None and owner.participant_id not in heard:
                    heard.add(owner.participant_id)
                    yield source_key(csrc), owner.participant_id
        elif track_id in self._mixes:
            for participant_id, said in self._speeches.items():
                if any(_covers(speech, packet.at_ms) for speech in reversed(said)):
                    yield f"voice:{participant_id}", participant_id

    def _piece(self, packet: Packet, key: str, *, goes_on: bool) -> Packet:
        """The packet as one of a track that is this voice's alone, whichever it came by."""
        number = self._numbers.setdefault(key, _FIRST + len(self._numbers))
        if goes_on:
            return replace(packet, track=number)
        # What came before it in its real track was of others.
        return replace(packet, track=number, follows=False, lost=0, hole_ms=0.0)


def source_key(csrc: int) -> str:
    """How the packets of a source are held until somebody owns it."""
    return f"csrc:{csrc}"


def _covers(speech: _Speech, moment_ms: float) -> bool:
    return speech.start_ms <= moment_ms and (speech.end_ms is None or moment_ms < speech.end_ms)

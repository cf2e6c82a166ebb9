"""Tracks that carry several people: whose voice each packet holds.

A server either sends those who speak on a few tracks in turn (Meet: three of them) or mixes all
voices into one (Teams). Two things tell them apart: the contributing sources (CSRC) that the mixer
writes into each packet's header, and what the page says about who is speaking. Headers say at once
who speaks, and may go on naming them for seconds; the page knows who has stopped, and shows it
late. So in a mix whoever is named speaks until the page shows that they have stopped. Whose a
source is the page tells, or, of the one mix of a meeting, it is learned from who is shown to speak
when it comes up. A packet goes to everybody whose voice is in it; where a mix holds two voices,
both files hold both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bot.capture.attribution import Mix, SourceOwner
from bot.capture.audio_track import Packet
from bot.capture.turns import Turns

# A header has room for fifteen; a page could send more names than there are people.
MAX_SOURCES: Final = 2000
MAX_SPEECHES: Final = 200
# A page shows who speaks sooner or later than it says: a sound that nobody is shown for belongs to
# whoever is shown next to it in time.
NEAR_MS: Final = 700.0
# A source that was not named for so long has stopped, and begins anew when it is again.
_GAP_MS: Final = 100.0
# How long before and after a source comes up its person may be shown to begin.
_SIGN_BEFORE_MS: Final = 400.0
_SIGN_AFTER_MS: Final = 1300.0
# How much later than other tracks a mix is written, so that its signs are there by then.
MIX_WAIT_MS: Final = 1000.0
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
        # Since when each source has been named without a gap, and when it was named last.
        self._heard: dict[int, _Speech] = {}
        # Whose a source is, as far as who is shown to speak tells.
        self._learned: dict[int, str] = {}
        # People of whom a source is known.
        self._named: frozenset[str] = frozenset()
        # Set once the page has said that people use tracks in turn.
        self._turns: Turns | None = None

    def own(self, owner: SourceOwner) -> bool:
        """Take a claim about a source; False when it changes nothing."""
        known = self._owners.get(owner.csrc)
        if known == owner or (known is None and len(self._owners) >= MAX_SOURCES):
            return False
        self._owners[owner.csrc] = owner
        if owner.isolation == "time-slice":
            self._turns = self._turns or Turns()
        people = (one.participant_id for one in self._owners.values())
        self._named = frozenset(one for one in people if one is not None)
        return True

    def names(self, participant_id: str) -> bool:
        """Whether a source of this person is known."""
        return participant_id in self._named

    def wait_ms(self, track_id: str) -> float:
        """How much longer a track is held than one that is somebody's own."""
        return MIX_WAIT_MS if track_id in self._mixes else 0.0

    def declare(self, mix: Mix) -> bool:
        """A track holds whoever is speaking; False when that was known, or is too much."""
        if self._mixes.get(mix.track_id) == mix or len(self._mixes) >= MAX_SOURCES:
            return False
        self._mixes[mix.track_id] = mix
        return True

    def end(self, track_id: str) -> None:
        """The track is over."""
        self._mixes.pop(track_id, None)

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
        voices = self._voices(packet, track_id)
        before = self._last.get(packet.track, frozenset())
        self._last[packet.track] = frozenset(voices)
        for key, participant_id in voices.items():
            yield Share(key, participant_id, self._piece(packet, key, goes_on=key in before))

    def _voices(self, packet: Packet, track_id: str) -> Mapping[str, str | None]:
        """Whose voices the packet holds, by the key of each; None for a source of nobody known."""
        mixed = track_id in self._mixes
        if not packet.csrcs:
            shown = self._shown(packet.at_ms, self._speeches) if mixed else ()
            return {f"voice:{one}": one for one in shown}
        self._sourced.add(track_id)
        if self._turns is not None:
            return self._turn(self._turns, packet, track_id)
        # Sources of several mixes are on whichever is free.
        alone = mixed and len(self._mixes) == 1
        named: dict[str, str] = {}
        stopped: dict[str, str] = {}
        unknown: dict[str, str | None] = {}
        for csrc in packet.csrcs:
            owner, key = self._owners.get(csrc), source_key(csrc)
            since = self._since(csrc, packet.at_ms)
            person = owner.participant_id if owner else self._guess(csrc, since) if alone else None
            if person is None:
                unknown |= {} if owner else {key: None}
            elif (mixed or (owner and owner.isolation == "mixed-gated")) and self._stopped(
                person, since, packet.at_ms
            ):
                stopped.setdefault(person, key)
            else:
                named.setdefault(person, key)
        if unknown and mixed:
            # Of somebody who has no source yet.
            others = self._speeches.keys() - self._named
            others -= {*self._learned.values()} if alone else set()
            shown = self._shown(packet.at_ms, sorted(others))
            named |= {one: f"voice:{one}" for one in shown}
        if not named:
            named = {one: stopped[one] for one in self._shown(packet.at_ms, stopped)}
        return {key: one for one, key in named.items()} or unknown

    def _turn(self, turns: Turns, packet: Packet, track_id: str) -> Mapping[str, str | None]:
        """The one voice in the packet; a source of nobody known is held, and never guessed."""

        def shown() -> Collection[int]:
            people = {
                owner.participant_id: csrc
                for csrc in packet.csrcs
                if (owner := self._owners.get(csrc)) is not None and owner.participant_id
            }
            return [people[one] for one in self._shown(packet.at_ms, people)]

        csrc = turns.of(track_id, packet.csrcs, packet.at_ms, shown)
        owner = self._owners.get(csrc)
        if owner is not None and owner.participant_id is None:
            return {}
        return {source_key(csrc): owner.participant_id if owner else None}

    def _since(self, csrc: int, moment_ms: float) -> float:
        """Since when the source has been named without a gap."""
        heard = self._heard.get(csrc)
        if heard is None:
            if len(self._heard) >= MAX_SOURCES:
                return moment_ms
            heard = self._heard[csrc] = _Speech(moment_ms, moment_ms)
        if moment_ms - (heard.end_ms or 0.0) > _GAP_MS:
            heard.start_ms = moment_ms
        heard.end_ms = moment_ms
        return heard.start_ms

    def _guess(self, csrc: int, since_ms: float) -> str | None:
        """Whose a source is that came up then: of the one person who was shown to begin with it."""
        begun = [
            one
            for one, said in self._speeches.items()
            if any(
                -_SIGN_BEFORE_MS <= speech.start_ms - since_ms <= _SIGN_AFTER_MS for speech in said
            )
        ]
        known = self._learned.get(csrc)
        free = [one for one in begun if one not in self._learned.values()]
        if known not in begun and len(free) == 1 and free[0] not in self._named:
            known = self._learned[csrc] = free[0]
        return known

    def _stopped(self, participant_id: str, since_ms: float, moment_ms: float) -> bool:
        """Whether the page has shown that they stopped since their source came up."""
        said = self._speeches.get(participant_id, ())
        ended = any(one.end_ms is not None and since_ms < one.end_ms <= moment_ms for one in said)
        return ended and all(_apart(one, moment_ms) > 0 for one in said)

    def _shown(self, moment_ms: float, among: Collection[str]) -> Collection[str]:
        """Who of them is shown to speak, or is next to it; none where there is no sign at all."""
        apart = {
            one: min(_apart(speech, moment_ms) for speech in self._speeches[one])
            for one in among
            if self._speeches.get(one)
        }
        speaking = [one for one, distance in apart.items() if distance == 0]
        if speaking or not apart:
            return speaking
        nearest = min(apart, key=lambda one: apart[one])
        return [nearest] if apart[nearest] <= NEAR_MS else []

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


def _apart(speech: _Speech, moment_ms: float) -> float:
    """How far a moment is from a speech, in ms; 0 within it."""
    if moment_ms < speech.start_ms:
        return speech.start_ms - moment_ms
    return 0.0 if speech.end_ms is None else max(0.0, moment_ms - speech.end_ms)

"""Who took part: the people of all attempts, once each, in order of appearance (MF-02)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.recording.timeline import Timeline
from core.clock import from_epoch_ms
from core.recordings.journal import Attributed
from core.recordings.recording import Participant, RosterEvent, speaker_label


class People:
    """`canonical` maps every id that a journal used to the id of the final recording.

    A rejoining bot meets the same people again: the same platform id and name is one person.
    The bot itself is nobody. Media of an id without a roster entry still has a person.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.canonical: dict[str, str] = {}
        self._people: dict[str, Participant] = {}
        self._bots: set[str] = set()
        self._attributions: dict[str, Attributed] = {}
        known: dict[tuple[str, str], str] = {}
        for attempt in timeline.attempts:
            for person in attempt.journal.participants.values():
                self._meet(person, known)
            for stream in attempt.journal.streams.values():
                if stream.opened.participant_id:
                    self._meet_stranger(stream.opened.participant_id)
            for claim in attempt.journal.attributions:
                if claim.source == "microphone":
                    owner = self.canonical.get(claim.participant_id, claim.participant_id)
                    self._attributions[owner] = claim
        self._timeline = timeline

    def _meet(self, person: Participant, known: dict[tuple[str, str], str]) -> None:
        if person.is_bot:
            self._bots.add(person.id)
            return
        same = person.id
        if person.platform_id:
            same = known.setdefault((person.platform_id, person.display_name), person.id)
        if person.id in self.canonical:
            same = self.canonical[person.id]
        self.canonical[person.id] = same
        first = self._people.setdefault(same, person)
        self._people[same] = replace(person, id=first.id)

    def _meet_stranger(self, participant_id: str) -> None:
        if participant_id in self.canonical or participant_id in self._bots:
            return
        self.canonical[participant_id] = participant_id
        self._people[participant_id] = Participant(participant_id, "", "Unknown", "")

    def all(self) -> tuple[Participant, ...]:
        return tuple(
            replace(person, speaker_label=speaker_label(place))
            for place, person in enumerate(self._people.values())
        )

    def attribution(self, participant_id: str) -> Attributed | None:
        """The last claim about this person's microphone."""
        return self._attributions.get(participant_id)

    def roster(self) -> Iterator[RosterEvent]:
        for attempt in self._timeline.attempts:
            for moved in attempt.journal.roster:
                person = self.canonical.get(moved.participant_id)
                if person is not None:
                    at = from_epoch_ms(moved.at_ms)
                    yield RosterEvent(
                        moved.type, person, moved.display_name, at, approx=moved.approx
                    )

"""Who is in the room: the page's claims turned into participants of ours (PL-11, D19)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from bot.competing import Notetakers
from bot.platforms.observations import ParticipantSeen, RosterSeen
from core.ids import new_id
from core.recordings.recording import Participant, speaker_label

MAX_NAME_LENGTH: Final = 200
# A hostile page cannot make us keep participants without end.
MAX_PARTICIPANTS: Final = 5000
# Format characters that names are written with: in Persian, in Indic scripts, in emoji.
_JOINERS: Final = "\u200c\u200d"


@dataclass(frozen=True)
class RosterChange:
    """`changed` were there before, and are called otherwise now, or are known to be somebody else:
    the host, the bot itself or, after all, not the bot."""

    joined: tuple[Participant, ...] = ()
    left: tuple[str, ...] = ()
    changed: tuple[Participant, ...] = ()


@dataclass
class Roster:
    """Participants of one meeting. Ids are minted here; a platform's id is kept as a claim.

    Somebody who comes back under the same platform id is the same participant. Names are those of
    now: clients show people before their names have come, and people rename themselves.
    `bot_name` is what this bot calls itself.
    """

    notetakers: Notetakers = field(default_factory=Notetakers)
    bot_name: str = ""
    _known: dict[str, Participant] = field(default_factory=dict)
    _present: dict[str, ParticipantSeen] = field(default_factory=dict)
    _labelled: int = 0

    def recall(self, participants: Iterable[Participant]) -> None:
        """People whom earlier attempts met, the bots of these attempts among them: nobody of them
        is a stranger, or labelled twice."""
        for person in participants:
            if person.platform_id and len(self._known) < MAX_PARTICIPANTS:
                self._known[person.platform_id] = person
            self._labelled += not person.is_bot

    def update(self, seen: RosterSeen) -> RosterChange:
        """Take a snapshot of everybody present."""
        before = dict(self._known)
        now = self._one_bot({one.platform_id: one for one in seen.participants})
        went = [key for key in self._present if key not in now]
        joined, changed = [], []
        for key, one in now.items():
            person = self._meet(one)
            if person is not None and key not in self._present:
                joined.append(person)
            elif person is not None and person != before.get(key):
                changed.append(person)
        self._present = {key: one for key, one in now.items() if key in self._known}
        return RosterChange(
            joined=tuple(joined),
            left=tuple(self._known[key].id for key in went if key in self._known),
            changed=tuple(changed),
        )

    def _one_bot(self, now: dict[str, ParticipantSeen]) -> dict[str, ParticipantSeen]:
        """Where several rows claim to be the bot's own, the others' owners have chosen a name that
        looks so, such as "Ann (You)"."""
        claims = [key for key, one in now.items() if one.is_self]
        if len(claims) < 2:
            return now
        known = [key for key in claims if key in self._known and self._known[key].is_bot]
        named = [key for key in claims if clean_name(now[key].display_name) == self.bot_name]
        bot = (named or known or claims)[0]
        for key in known:
            if key != bot:
                person, label = self._known[key], self._next_label()
                self._known[key] = replace(person, is_bot=False, speaker_label=label)
        others = {key: now[key].model_copy(update={"is_self": False}) for key in claims}
        return now | others | {bot: now[bot]}

    def find(self, platform_id: str) -> Participant | None:
        """The participant behind a platform's id, present or not."""
        return self._known.get(platform_id)

    def unmuted(self, platform_id: str) -> bool:
        """Whether somebody present is known to have their microphone on."""
        seen = self._present.get(platform_id)
        return seen is not None and seen.muted is False

    @property
    def others(self) -> tuple[Participant, ...]:
        """Everybody present but the bot."""
        present = (self._known[key] for key in self._present)
        return tuple(one for one in present if not one.is_bot)

    def called(self, display_name: str) -> tuple[Participant, ...]:
        """Everybody present but the bot who has this name; letter case does not count."""
        name = clean_name(display_name).casefold()
        return tuple(one for one in self.others if one.display_name.casefold() == name)

    @property
    def humans(self) -> tuple[Participant, ...]:
        """Everybody present who is neither the bot nor a competing notetaker (LC-27)."""
        return tuple(
            one for one in self.others if self.notetakers.name_of(one.display_name) is None
        )

    @property
    def met_others(self) -> bool:
        """Whether anybody else was ever there, in this attempt or an earlier one."""
        return any(not one.is_bot for one in self._known.values())

    @property
    def competing_bot(self) -> bool:
        return len(self.humans) < len(self.others)

    @property
    def host_present(self) -> bool:
        return any(one.is_host and not one.is_self for one in self._present.values())

    def _meet(self, seen: ParticipantSeen) -> Participant | None:
        known = self._known.get(seen.platform_id)
        if known is not None:
            known = replace(
                known,
                display_name=clean_name(seen.display_name) or known.display_name,
                is_host=known.is_host or seen.is_host,
                is_bot=known.is_bot or seen.is_self,
            )
        elif len(self._known) >= MAX_PARTICIPANTS:
            return None
        else:
            label = "" if seen.is_self else self._next_label()
            known = Participant(
                id=new_id("prt"),
                platform_id=seen.platform_id,
                display_name=clean_name(seen.display_name) or f"Participant {label}".strip(),
                speaker_label=label,
                is_bot=seen.is_self,
                is_host=seen.is_host,
            )
        self._known[seen.platform_id] = known
        return known

    def _next_label(self) -> str:
        self._labelled += 1
        return speaker_label(self._labelled - 1)


def clean_name(text: str) -> str:
    """A display name on one line: no control or format characters, bounded."""
    kept = "".join(
        " " if char.isspace() else char
        for char in text
        if char.isspace() or char in _JOINERS or unicodedata.category(char)[0] != "C"
    )
    return " ".join(kept.split())[:MAX_NAME_LENGTH].rstrip()

"""What every provider's events become: one occurrence, as the connected person sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from core.invites.reading import moment_key
from core.texts import plain_text

MOST_PEOPLE: Final = 500
LONGEST_ADDRESS: Final = 320
LONGEST_TITLE: Final = 200
LONGEST_UID: Final = 160


@dataclass(frozen=True)
class Event:
    """One occurrence. Times in UTC.

    Args:
        id: the provider's own, of this occurrence.
        uid: of iCalendar; the same in all calendars that have the event.
        key: when it was to begin before it was moved, as `core.invites.reading.moment_key` says it;
            None: it does not repeat.
        people: addresses of all who are invited, the organizer and rooms not among them.
        mine: whether the connected person is its organizer.
        declined: whether the connected person is not coming.
        parts: where its link may be, by the names of `core.invites.links`; the first that has one.
    """

    id: str
    uid: str
    start: datetime
    end: datetime
    key: str | None = None
    all_day: bool = False
    title: str = ""
    organizer: str | None = None
    mine: bool = False
    people: tuple[str, ...] = ()
    declined: bool = False
    parts: Sequence[Mapping[str, Any]] = ()

    @property
    def name(self) -> str:
        """`cal:<uid>:<occurrence start>`, what its job is called (CAL-06)."""
        uid = self.uid
        if len(uid) > LONGEST_UID or not uid.isprintable():
            uid = hashlib.sha256(uid.encode(errors="replace")).hexdigest()
        return f"cal:{uid}:{self.key or moment_key(self.start)}"


class Facts(BaseModel):
    """What is kept of an event, and all that rules may look at; sealed at rest."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    organizer: str | None
    mine: bool
    people: Annotated[tuple[str, ...], Field(max_length=MOST_PEOPLE)] = ()
    # The connected person's own address, in lower case.
    me: str | None = None
    declined: bool = False
    all_day: bool = False
    # The link as it was written; None: no platform calls any of its links its own.
    url: str | None = None

    @classmethod
    def of(cls, event: Event, me: str | None, url: str | None) -> Self:
        return cls(
            name=event.name,
            title=plain_text(event.title, LONGEST_TITLE),
            organizer=address(event.organizer),
            mine=event.mine,
            people=tuple(dict.fromkeys(filter(None, map(address, event.people))))[:MOST_PEOPLE],
            me=address(me),
            declined=event.declined,
            all_day=event.all_day,
            url=url,
        )

    @property
    def everybody(self) -> frozenset[str]:
        """All addresses: who is invited, who invites, and the connected person."""
        return frozenset(one for one in (*self.people, self.organizer, self.me) if one)

    @property
    def others(self) -> frozenset[str]:
        """All but the connected person."""
        return self.everybody - {self.me}


def address(text: str | None) -> str | None:
    """An address in the spelling in which addresses are compared; None for none."""
    if text is None:
        return None
    bare = plain_text(text, LONGEST_ADDRESS).lower()
    bare = bare.removeprefix("mailto:").strip()
    return bare if "@" in bare else None

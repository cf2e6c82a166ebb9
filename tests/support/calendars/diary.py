"""What is in somebody's calendar, whoever keeps it: events, series with exceptions, and changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

ME: Final = "ada@example.com"
BOSS: Final = "grace@example.com"
CUSTOMER: Final = "eve@customer.com"
MEET: Final = "https://meet.google.com/abc-defg-hij"


@dataclass(frozen=True)
class Entry:
    """An event; with `weeks` a weekly series of so many."""

    id: str
    start: datetime
    title: str = "Weekly"
    organizer: str = BOSS
    people: tuple[str, ...] = (ME, BOSS)
    link: str | None = MEET
    description: str = ""
    minutes: int = 30
    all_day: bool = False
    declined: bool = False
    weeks: int = 0


@dataclass(frozen=True)
class Occurrence:
    """One meeting as it is now; `original` is when its series had it."""

    id: str
    entry: Entry
    start: datetime
    original: datetime | None
    cancelled: bool

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.entry.minutes)


@dataclass
class Diary:
    """Entries by id; `version` counts changes, so that cursors can be of one."""

    version: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    # By occurrence: `series/2` is the third one.
    moved: dict[str, datetime] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    changed: dict[str, int] = field(default_factory=dict)

    def put(self, entry: Entry) -> None:
        """Add an event, or write it anew."""
        self.entries[entry.id] = entry
        self._touch(*(one.id for one in self._of(entry)))

    def change(self, entry_id: str, **changes: object) -> None:
        self.put(replace(self.entries[entry_id], **changes))  # type: ignore[arg-type]

    def move(self, occurrence_id: str, start: datetime) -> None:
        """A single event, or one occurrence of a series."""
        if occurrence_id in self.entries:
            self.change(occurrence_id, start=start)
        else:
            self.moved[occurrence_id] = start
            self._touch(occurrence_id)

    def cancel(self, occurrence_id: str) -> None:
        self.cancelled.add(occurrence_id)
        self._touch(occurrence_id)

    def restore(self, occurrence_id: str) -> None:
        self.cancelled.discard(occurrence_id)
        self._touch(occurrence_id)

    def occurrences(self) -> Iterator[Occurrence]:
        for entry in self.entries.values():
            yield from self._of(entry)

    def between(self, after: datetime, before: datetime) -> list[Occurrence]:
        """What takes place in a span of time."""
        return [one for one in self.occurrences() if one.end > after and one.start < before]

    def since(self, version: int) -> list[Occurrence]:
        """What changed after `version`."""
        return [one for one in self.occurrences() if self.changed[one.id] > version]

    def _of(self, entry: Entry) -> Iterator[Occurrence]:
        if not entry.weeks:
            yield Occurrence(entry.id, entry, entry.start, None, entry.id in self.cancelled)
        for week in range(entry.weeks):
            original = entry.start + timedelta(weeks=week)
            name = f"{entry.id}/{week}"
            start = self.moved.get(name, original)
            yield Occurrence(name, entry, start, original, name in self.cancelled)

    def _touch(self, *ids: str) -> None:
        self.version += 1
        for one in ids:
            self.changed[one] = self.version

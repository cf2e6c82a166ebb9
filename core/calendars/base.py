"""What the sync needs of a calendar's provider, and what may go wrong there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import SecretStr

from core.calendars.events import Event
from core.errors import BadInput, MeetbotError, RateLimited


class AccessRefused(BadInput):
    """The grant is revoked, or does not reach the calendar: somebody has to connect it again."""


class Throttled(RateLimited):
    """The provider wants to be asked later."""


class CursorLost(MeetbotError):
    """The provider has forgotten where the last sync ended: begin anew."""


@dataclass(frozen=True)
class Window:
    """The span of time of which events are wanted."""

    after: datetime
    before: datetime


@dataclass(frozen=True)
class Source:
    """One calendar and what opens it: an access token, or the address of a feed."""

    calendar_id: str
    account: str | None
    secret: SecretStr = field(repr=False)


@dataclass(frozen=True)
class Changes:
    """What is new since a cursor.

    Args:
        gone: ids of occurrences that are not there any more, or cancelled.
        cursor: where the next sync goes on.
        whole: whether `events` are all there are in the window, so that others are gone.
    """

    events: Sequence[Event]
    gone: Sequence[str]
    cursor: str | None
    whole: bool


@dataclass
class Latest:
    """What a provider says of occurrences: of one that it names twice the last counts."""

    _known: dict[str, Event | None] = field(default_factory=dict)

    def put(self, name: str, event: Event | None) -> None:
        """`event` is None for one that is gone."""
        self._known.pop(name, None)
        self._known[name] = event

    @property
    def events(self) -> list[Event]:
        return [event for event in self._known.values() if event is not None]

    @property
    def gone(self) -> list[str]:
        return [name for name, event in self._known.items() if event is None]


@dataclass(frozen=True)
class Channel:
    """By which a provider tells of changes.

    `resource_id` is the provider's name for what it watches, or for the channel itself.
    """

    id: str
    resource_id: str
    expires_at: datetime


class CalendarProvider(Protocol):
    async def changes(self, source: Source, cursor: str | None, window: Window) -> Changes:
        """What changed since `cursor`; all of the window without one.

        Raises:
            AccessRefused: this grant opens the calendar no more.
            CursorLost: without the cursor it goes.
            Throttled: later, and when.
            Unavailable: no proper answer; it may pass.
        """
        ...


class Watching(Protocol):
    """A provider that tells of changes."""

    async def watch(self, source: Source, channel_id: str, token: str, address: str) -> Channel:
        """Have `address` told of changes, with `token` in every message.

        Raises:
            AccessRefused, Throttled, Unavailable: as `CalendarProvider.changes`.
        """
        ...

    async def unwatch(self, source: Source, channel: Channel) -> None:
        """End it; one that is over already is no error.

        Raises:
            AccessRefused, Throttled, Unavailable: as `CalendarProvider.changes`.
        """
        ...

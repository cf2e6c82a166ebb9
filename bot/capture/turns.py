"""Tracks that people use in turn: whose turn it is where headers still name those before.

A server that rotates speakers over a few tracks (Meet: three) may leave a source in the headers of
a track for seconds after its turn. Only one voice is in a packet: that of the source that came into
the headers last, unless the page shows that it is another one's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

# How long a source is believed by its coming alone: what a page shows is late.
_SETTLED_MS: Final = 1000.0
# A source that a header left out and that is back so soon has not been away.
_GAP_MS: Final = 100.0


@dataclass(frozen=True)
class _Named:
    """Since when headers have named a source, and when the last one did, ms since 1970."""

    since_ms: float
    last_ms: float


class Turns:
    """Follows the headers of each track. Packets of a track come in the order of time."""

    def __init__(self) -> None:
        self._named: dict[str, dict[int, _Named]] = {}
        # When the last packet of each track was.
        self._last_ms: dict[str, float] = {}

    def of(
        self,
        track_id: str,
        sources: Sequence[int],
        at_ms: float,
        shown: Callable[[], Collection[int]],
    ) -> int:
        """Whose turn it is, of the `sources` that a packet names (at least one).

        Args:
            at_ms: when the packet starts, since 1970.
            shown: which of the sources' owners the page shows as speaking then.
        """
        named = self._follow(track_id, sources, at_ms)
        latest = max(named[source].since_ms for source in sources)
        newest = [source for source in sources if named[source].since_ms == latest]
        if len(sources) == 1 or (len(newest) == 1 and at_ms - latest < _SETTLED_MS):
            return newest[0]
        speaking = shown()
        return next(iter(speaking)) if len(speaking) == 1 else newest[0]

    def _follow(self, track_id: str, sources: Sequence[int], at_ms: float) -> dict[int, _Named]:
        known = self._named.get(track_id, {})
        # A track that nobody uses for a while sends nothing: its headers are those of before.
        before_ms = self._last_ms.get(track_id, at_ms)
        here = {
            source: one
            for source, one in known.items()
            if one.last_ms == before_ms or at_ms - one.last_ms <= _GAP_MS
        }
        named = here | {
            source: _Named(here[source].since_ms if source in here else at_ms, at_ms)
            for source in sources
        }
        self._named[track_id], self._last_ms[track_id] = named, at_ms
        return named

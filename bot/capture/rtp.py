"""Facts of RTP: counters that wrap, redundant audio (RFC 2198), one clock (capture.md, 6)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


class Unwrapper:
    """Turns a counter of `bits` bits into one that never wraps, tolerant of reordering."""

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._last: int | None = None

    def peek(self, value: int) -> int:
        """What `value` unwraps to."""
        if self._last is None:
            # Room below, so that an older packet than the first one stays positive.
            return value + self._span
        step = (value - self._last) % self._span
        if step >= self._span // 2:
            step -= self._span
        return self._last + step

    def unwrap(self, value: int) -> int:
        """What `value` unwraps to; the next ones are compared with the newest seen."""
        result = self.peek(value)
        self._last = result if self._last is None else max(self._last, result)
        return result


@dataclass(frozen=True)
class RedBlock:
    """One Opus packet of a RED payload; `back` is how far before the primary it starts."""

    back: int
    payload: bytes


def unwrap_red(payload: bytes) -> list[RedBlock] | None:
    """The blocks of an `audio/red` payload, the primary one last; None when malformed."""
    headers: list[tuple[int, int]] = []
    at = 0
    while True:
        if at >= len(payload):
            return None
        if not payload[at] & 0x80:
            at += 1
            break
        if at + 4 > len(payload):
            return None
        word = int.from_bytes(payload[at + 1 : at + 4], "big")
        headers.append((word >> 10, word & 0x3FF))
        at += 4
    blocks = []
    for back, size in headers:
        if at + size > len(payload):
            return None
        if size:
            blocks.append(RedBlock(back, payload[at : at + size]))
        at += size
    if at < len(payload):
        blocks.append(RedBlock(0, payload[at:]))
    return blocks


class OffsetEstimator:
    """The offset between a stream's own clock and arrival: a windowed running minimum, in ms.

    The fastest packets of a window were not queued, so their arrival minus RTP time is the
    distance of the two clocks plus a constant; jitter only ever adds to it.
    """

    WINDOW_MS = 30_000.0
    BUCKET_MS = 100.0

    def __init__(self) -> None:
        # (bucket number, minimum of its samples)
        self._buckets: deque[tuple[int, float]] = deque()
        self._current: float | None = None

    @property
    def current(self) -> float | None:
        return self._current

    def add(self, arrival_ms: float, rtp_ms: float) -> None:
        delta = arrival_ms - rtp_ms
        number = int(arrival_ms // self.BUCKET_MS)
        buckets = self._buckets
        if buckets and number <= buckets[-1][0]:
            last, lowest = buckets[-1]
            buckets[-1] = (last, min(lowest, delta))
        else:
            buckets.append((number, delta))
            oldest = number - int(self.WINDOW_MS // self.BUCKET_MS)
            while buckets[0][0] < oldest:
                buckets.popleft()
            self._current = None
        if self._current is None:
            self._current = min(lowest for _, lowest in buckets)
        else:
            self._current = min(self._current, delta)

    def lowest_after(self, arrival_ms: float) -> float | None:
        """The minimum of the buckets that began after the one of `arrival_ms`."""
        first = int(arrival_ms // self.BUCKET_MS)
        return min((lowest for number, lowest in self._buckets if number > first), default=None)

    def restart(self, arrival_ms: float, delta: float) -> None:
        """The path changed for good with the packet of `delta`: nothing before it counts."""
        first = int(arrival_ms // self.BUCKET_MS)
        while self._buckets and self._buckets[0][0] <= first:
            self._buckets.popleft()
        self._buckets.appendleft((first, delta))
        self._current = min(lowest for _, lowest in self._buckets)

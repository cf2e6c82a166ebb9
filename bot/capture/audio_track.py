"""One received audio track: reordered, unwrapped and placed on the meeting's one clock.

Packets wait in a hold (`HOLD_MS`; longer at first) and leave it in RTP order with their place in
meeting time. A stream with a new SSRC, or whose clock jumped, starts a new run.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bot.capture.frames import Frame
from bot.capture.rtp import OffsetEstimator, Unwrapper, unwrap_red
from bot.recording.ogg import SAMPLES_PER_MS, packet_samples

HOLD_MS: Final = 500.0
# Before anything of a run is written, the offset needs a longer look ahead (capture.md, 6).
FIRST_HOLD_MS: Final = 1000.0
MAX_PENDING: Final = 3000
# A later arrival for good, by a sender whose RTP clock stood still (a mute in some clients).
PAUSE_MS: Final = 250.0
_MAX_FORWARD_MS: Final = 2000.0
_REWIND_SAMPLES: Final = 2000 * SAMPLES_PER_MS


@dataclass(frozen=True)
class Packet:
    """An Opus packet in meeting time: `at_ms` since 1970 is where it starts.

    `follows` says that it continues the packet before it without a hole in RTP time. `lost`
    counts packets that were sent between the two and never came. `csrcs` are the sources that a
    mixer put into it.
    """

    track: int
    at_ms: float
    samples: int
    payload: bytes
    level: float | None
    follows: bool
    lost: int
    hole_ms: float
    csrcs: tuple[int, ...] = ()


@dataclass(order=True)
class _Pending:
    ts: int
    sequence: int
    arrival_ms: float
    samples: int
    payload: bytes
    level: float | None
    csrcs: tuple[int, ...]


class _Run:
    """Packets of one SSRC on one continuous RTP clock."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.offset = OffsetEstimator()
        self.started = False
        self._ts = Unwrapper(32)
        self._seq = Unwrapper(16)
        self._heap: list[_Pending] = []
        self._known: set[int] = set()
        self._next_ts = 0
        self._next_seq = 0
        self.late = 0

    def __len__(self) -> int:
        return len(self._heap)

    def accepts(self, frame: Frame) -> bool:
        """Whether the frame's clock is still the one of this run."""
        current = self.offset.current
        if frame.ssrc != self.ssrc:
            return False
        if current is None:
            return True
        ts = self._ts.peek(frame.rtp)
        if self.started and ts < self._next_ts - _REWIND_SAMPLES:
            return False
        back = current - (frame.arrival_ms - ts / SAMPLES_PER_MS)
        return back < (PAUSE_MS if self.started else _MAX_FORWARD_MS)

    def push(self, frame: Frame, blocks: list[tuple[int, int, bytes]]) -> None:
        """`blocks`: how far back in samples, how far back in packets, and the Opus packet."""
        ts = self._ts.unwrap(frame.rtp)
        sequence = self._seq.unwrap(frame.sequence)
        self.offset.add(frame.arrival_ms, ts / SAMPLES_PER_MS)
        for back, back_packets, payload in blocks:
            samples = packet_samples(payload)
            start = ts - back
            if samples is None or start in self._known:
                continue
            if self.started and start < self._next_ts:
                self.late += back == 0
                continue
            self._known.add(start)
            heapq.heappush(
                self._heap,
                _Pending(
                    start,
                    sequence - back_packets,
                    frame.arrival_ms,
                    samples,
                    payload,
                    frame.level if back == 0 else None,
                    frame.csrcs,
                ),
            )

    def pop(self, now_ms: float, hold_ms: float, track: int) -> Iterator[Packet]:
        """Packets whose time is older than the hold, in order."""
        while self._heap:
            offset = self.offset.current or 0.0
            head = self._heap[0]
            if head.ts / SAMPLES_PER_MS + offset > now_ms - hold_ms:
                return
            delta = head.arrival_ms - head.ts / SAMPLES_PER_MS
            if delta - offset >= PAUSE_MS:
                # After a stall of the network the next packets come sooner: wait for them.
                if head.arrival_ms > now_ms - hold_ms:
                    return
                after = self.offset.lowest_after(head.arrival_ms)
                if min(delta, delta if after is None else after) - offset >= PAUSE_MS:
                    self.offset.restart(head.arrival_ms, delta)
                    offset = self.offset.current or offset
            heapq.heappop(self._heap)
            self._known.discard(head.ts)
            yield self._place(head, offset, track)

    def _place(self, head: _Pending, offset: float, track: int) -> Packet:
        lost = head.sequence - self._next_seq if self.started else 0
        hole = (head.ts - self._next_ts) / SAMPLES_PER_MS if self.started else 0.0
        follows = self.started and head.ts == self._next_ts
        self.started = True
        self._next_ts = head.ts + head.samples
        self._next_seq = max(self._next_seq, head.sequence + 1)
        return Packet(
            track=track,
            at_ms=head.ts / SAMPLES_PER_MS + offset,
            samples=head.samples,
            payload=head.payload,
            level=head.level,
            follows=follows,
            lost=max(lost, 0),
            hole_ms=hole,
            csrcs=head.csrcs,
        )


class AudioTrack:
    """Frames of one track in, packets in meeting time out. `number` is unique per recording."""

    def __init__(self, number: int, track_id: str) -> None:
        self.number = number
        self.track_id = track_id
        self.last_arrival_ms: float | None = None
        self.malformed = 0
        self.overflowed = 0
        # Packets that came after their place was written.
        self.late = 0
        self._runs: list[_Run] = []

    def push(self, frame: Frame) -> None:
        blocks = _opus_blocks(frame)
        if not blocks:
            self.malformed += 1
            return
        if sum(map(len, self._runs)) >= MAX_PENDING:
            self.overflowed += 1
            return
        self.last_arrival_ms = frame.arrival_ms
        if not self._runs or not self._runs[-1].accepts(frame):
            self._runs.append(_Run(frame.ssrc))
        self._runs[-1].push(frame, blocks)

    def pop(self, now_ms: float, *, everything: bool = False) -> Iterator[Packet]:
        """Packets that may be written at `now_ms`; `everything` empties the hold."""
        while self._runs:
            run = self._runs[0]
            ended = len(self._runs) > 1 or everything
            hold = HOLD_MS if run.started else FIRST_HOLD_MS
            until = float("inf") if ended else now_ms
            yield from run.pop(until, hold, self.number)
            self.late += run.late
            run.late = 0
            if len(self._runs) == 1:
                return
            self._runs.pop(0)


def _opus_blocks(frame: Frame) -> list[tuple[int, int, bytes]]:
    if frame.codec == "opus":
        return [(0, 0, frame.payload)] if packet_samples(frame.payload) else []
    if frame.codec != "red":
        return []
    blocks = unwrap_red(frame.payload) or []
    last = len(blocks) - 1
    return [(block.back, last - place, block.payload) for place, block in enumerate(blocks)]

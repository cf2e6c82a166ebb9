"""Whether a packet holds voice, without decoding it.

Where the sender negotiated the audio-level extension the level decides. Elsewhere the size does:
Opus with a variable rate spends a few bytes on silence and tens on speech. A stream of constant
size counts as voice throughout, so that nothing that was said is ever skipped.
"""

from __future__ import annotations

from typing import Final

# Linear levels of -50 and -60 dB below full scale.
_VOICE_LEVEL: Final = 10 ** (-50 / 20)
_QUIET_LEVEL: Final = 10 ** (-60 / 20)
_TINY_BYTES: Final = 10.0
_VOICE_SHARE: Final = 0.35
_QUIET_SHARE: Final = 0.2
# A peak halves in about a minute of 20 ms packets.
_DECAY: Final = 0.99977
_SAMPLES_20_MS: Final = 960


class VoiceDetector:
    """One speaker's packets, one after another."""

    def __init__(self) -> None:
        self._peak = 0.0
        self.voice = False
        # Nothing that anybody would miss: here timing may be corrected.
        self.quiet = True
        # 0-1; from the sender, else how large the packet is against the largest of late.
        self.level = 0.0

    def hear(self, size: int, samples: int, level: float | None) -> None:
        if level is not None:
            self.voice, self.quiet, self.level = level >= _VOICE_LEVEL, level < _QUIET_LEVEL, level
            return
        per_20_ms = size * _SAMPLES_20_MS / samples
        self._peak = max(per_20_ms, self._peak * _DECAY)
        share = per_20_ms / self._peak
        tiny = per_20_ms <= _TINY_BYTES
        self.voice = not tiny and share >= _VOICE_SHARE
        self.quiet = tiny or share < _QUIET_SHARE
        self.level = 0.0 if tiny else round(share, 3)


class SpeechSpans:
    """Collects the spans of voice, in ms of the recording, bridging short breaths."""

    JOIN_MS: Final = 400

    def __init__(self) -> None:
        self._open: list[int] | None = None
        self._closed: list[tuple[int, int]] = []

    def hear(self, start_ms: float, end_ms: float) -> None:
        start, end = round(start_ms), round(end_ms)
        if self._open is not None and start - self._open[1] <= self.JOIN_MS:
            self._open[1] = max(end, self._open[1])
            return
        self._close()
        self._open = [start, end]

    def take(self) -> tuple[tuple[int, int], ...]:
        """What was heard since the last call; a span that goes on is split here."""
        self._close()
        taken, self._closed = tuple(self._closed), []
        return taken

    def _close(self) -> None:
        if self._open is not None:
            self._closed.append((self._open[0], self._open[1]))
            self._open = None

"""One participant's audio file: packets from all their tracks on the recording's timeline.

The file starts at the start of the recording. Packets that follow each other are written
untouched; holes become Opus silence; when a sender's clock has drifted, the place is corrected
by 2.5 ms steps where nobody speaks, and only beyond `MAX_DRIFT` within speech.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from bot.capture.audio_track import Packet
from bot.capture.voice import SpeechSpans, VoiceDetector
from bot.recording.journal import JournalWriter, StreamFile
from bot.recording.ogg import SAMPLES_PER_MS, SILENCE_STEP, OggOpusMuxer, is_stereo
from core.recordings.journal import GapMarked, StreamOpened

# 5 ms: what capture.md measured as the finest useful tolerance. In samples, as all below.
TOLERANCE: Final = 5 * SAMPLES_PER_MS
MAX_DRIFT: Final = 20 * SAMPLES_PER_MS
# Shorter losses are counted, not listed.
_LISTED_GAP_MS: Final = 60
# A second track of the same person takes over when the first has been silent this long.
_TAKE_OVER: Final = 60 * SAMPLES_PER_MS


def audio_stream_name(participant_id: str) -> str:
    return f"audio.{participant_id}.ogg"


def stream_serial(participant_id: str) -> int:
    """The same in every attempt, so that files can be joined."""
    return crc32(participant_id.encode())


class SpeakerFile:
    """Writes `audio.<participantId>.ogg`; `t0_ms` is the start of the recording (since 1970)."""

    def __init__(self, participant_id: str, t0_ms: float, journal: JournalWriter) -> None:
        self.participant_id = participant_id
        self.lost = 0
        self.last_voice_ms: float | None = None
        self._t0_ms = t0_ms
        self._journal = journal
        # One per track: a second track's silence says nothing about the first.
        self._voices: dict[int, VoiceDetector] = {}
        self._speech = SpeechSpans()
        self._muxer: OggOpusMuxer | None = None
        self._stream: StreamFile | None = None
        self._track: int | None = None

    @property
    def level(self) -> float:
        """0-1, of the track that holds the file."""
        return 0.0 if self._track is None else self._voices[self._track].level

    @property
    def has_media(self) -> bool:
        return self._muxer is not None

    @property
    def end_ms(self) -> float:
        """Where the file ends now, in ms of the recording."""
        return self._muxer.position / SAMPLES_PER_MS if self._muxer else 0.0

    def add(self, packet: Packet) -> None:
        """Write a packet to its place, or leave it out when its place is taken."""
        target = round((packet.at_ms - self._t0_ms) * SAMPLES_PER_MS)
        if target + packet.samples <= 0:
            return
        muxer = self._muxer or self._open(packet)
        voice = self._hear(packet)
        same_track = packet.track == self._track
        if self._track is not None and not same_track and not self._takes_over(target, voice):
            return
        self._track = packet.track
        if packet.lost and same_track:
            self._mark_lost(packet, muxer)
        wanted = self._correction(target - muxer.position, packet, same_track, voice.quiet)
        if wanted >= 0:
            muxer.add_silence(wanted)
            self._write(packet, muxer, voice)
        elif packet.samples + wanted >= SILENCE_STEP:
            # The packet is replaced by a shorter silence.
            muxer.add_silence(packet.samples + wanted)

    def overhear(self, packet: Packet) -> None:
        """Nothing is recorded now; that somebody speaks still keeps the bot in the room."""
        if self._hear(packet).voice:
            self.last_voice_ms = packet.at_ms

    def _hear(self, packet: Packet) -> VoiceDetector:
        voice = self._voices.setdefault(packet.track, VoiceDetector())
        voice.hear(len(packet.payload), packet.samples, packet.level)
        return voice

    def _open(self, packet: Packet) -> OggOpusMuxer:
        channels = 2 if is_stereo(packet.payload) else 1
        self._muxer = OggOpusMuxer(stream_serial(self.participant_id), channels)
        self._stream = self._journal.open_stream(
            StreamOpened(
                stream=audio_stream_name(self.participant_id),
                kind="per-speaker",
                participant_id=self.participant_id,
            )
        )
        return self._muxer

    def _takes_over(self, target: int, voice: VoiceDetector) -> bool:
        """Two tracks of one person never mix: the one that speaks holds the file."""
        position = self._muxer.position if self._muxer else 0
        if target >= position + _TAKE_OVER:
            return True
        holder = self._voices[self._track] if self._track is not None else voice
        return holder.quiet and voice.voice

    def _correction(self, error: int, packet: Packet, same_track: bool, quiet: bool) -> int:
        """Samples of silence to put before the packet; negative: how much to cut it by."""
        if not (same_track and packet.follows):
            if error >= -MAX_DRIFT:
                return self._fill(error, packet, same_track)
            return error
        limit = TOLERANCE if quiet else MAX_DRIFT
        return 0 if abs(error) <= limit else error

    def _fill(self, error: int, packet: Packet, same_track: bool) -> int:
        """A hole: as long as RTP says when that agrees with the clock, else up to the clock."""
        hole = round(packet.hole_ms * SAMPLES_PER_MS)
        if same_track and hole > 0 and abs(error - hole) <= TOLERANCE:
            return hole
        return max(error, 0)

    def _write(self, packet: Packet, muxer: OggOpusMuxer, voice: VoiceDetector) -> None:
        start = muxer.position
        muxer.add(packet.payload, packet.samples)
        if voice.voice:
            self._speech.hear(start / SAMPLES_PER_MS, muxer.position / SAMPLES_PER_MS)
            self.last_voice_ms = packet.at_ms

    def _mark_lost(self, packet: Packet, muxer: OggOpusMuxer) -> None:
        self.lost += packet.lost
        if packet.hole_ms < _LISTED_GAP_MS:
            return
        start = round(muxer.position / SAMPLES_PER_MS)
        self._journal.write(
            GapMarked(
                stream=audio_stream_name(self.participant_id),
                start_ms=start,
                end_ms=start + round(packet.hole_ms),
                reason=f"{packet.lost} packets were lost on the network",
            )
        )

    def flush(self) -> None:
        """Write everything added so far to the file, as complete pages."""
        if self._muxer and self._stream:
            self._muxer.flush()
            self._stream.append(self._muxer.take())

    def describe(self) -> None:
        """Journal what was flushed since the last time."""
        if self._stream:
            self._journal.describe(self._stream, round(self.end_ms), self._speech.take())

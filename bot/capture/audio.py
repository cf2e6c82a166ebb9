"""All audio of a meeting: from the page's tracks to one file per participant."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from bot.capture.attribution import Owners, SourceOwner
from bot.capture.audio_track import AudioTrack, Packet
from bot.capture.frames import Frame
from bot.capture.mixes import Mixes, source_key
from bot.capture.pauses import Pauses
from bot.capture.speaker import SpeakerFile
from bot.capture.voice import VoiceDetector
from bot.recording.journal import JournalWriter
from bot.recording.ogg import SAMPLES_PER_MS

# About half a minute of one track that nobody has claimed yet.
MAX_UNCLAIMED: Final = 1500
# Tracks and sources that nobody has claimed yet.
MAX_HOLDS: Final = 500

_log = logging.getLogger(__name__)


class AudioRecorder:
    """Frames in (`push`), files out (`write`). `t0_ms` is the start of the recording."""

    def __init__(
        self, owners: Owners, t0_ms: float, journal: JournalWriter, pauses: Pauses | None = None
    ) -> None:
        self.speakers: dict[str, SpeakerFile] = {}
        self._pauses = pauses or Pauses()
        self._owners = owners
        self._t0_ms = t0_ms
        self._journal = journal
        self._tracks: dict[tuple[str, int], AudioTrack] = {}
        self._unclaimed: dict[str, deque[Packet]] = {}
        # They are in no file, and people are speaking all the same.
        self._strangers: dict[str, VoiceDetector] = {}
        self._stranger_voice_ms: float | None = None
        self._count = 0
        self.mixes = Mixes()

    @property
    def has_media(self) -> bool:
        return any(speaker.has_media for speaker in self.speakers.values())

    @property
    def last_voice_ms(self) -> float | None:
        """When anybody's voice was last heard, known or not, ms since 1970."""
        heard = [speaker.last_voice_ms for speaker in self.speakers.values()]
        heard.append(self._stranger_voice_ms)
        return max((moment for moment in heard if moment is not None), default=None)

    def last_voice_of(self, participant_id: str) -> float | None:
        """When this person's voice was last heard, ms since 1970."""
        speaker = self.speakers.get(participant_id)
        return speaker.last_voice_ms if speaker else None

    def push(self, doc: str, track_id: str, frame: Frame) -> None:
        key = (doc, frame.index)
        track = self._tracks.get(key)
        if track is None:
            self._count += 1
            track = self._tracks[key] = AudioTrack(self._count, track_id)
        track.push(frame)

    def end_track(self, doc: str, index: int, now_ms: float) -> None:
        """The track is over: nothing is waited for any more."""
        track = self._tracks.pop((doc, index), None)
        if track is not None:
            for packet in track.pop(now_ms, everything=True):
                self._route(packet, track.track_id)
            self.mixes.end(track.track_id)

    def claim(self, track_id: str) -> None:
        """An owner became known: what was held for them is written."""
        for packet in self._unclaimed.pop(track_id, deque()):
            self._route(packet, track_id)

    def own(self, owner: SourceOwner) -> bool:
        """A source's owner became known, or another one; False when it changes nothing.

        What was held for them is written.
        """
        if not self.mixes.own(owner):
            return False
        held = self._unclaimed.pop(source_key(owner.csrc), deque())
        if owner.participant_id is not None:
            for packet in held:
                self._hand(packet, owner.participant_id, "")
        return True

    def write(self, now_ms: float, *, everything: bool = False) -> None:
        """Move what has waited long enough into the files."""
        due = [
            (packet, track.track_id)
            for track in self._tracks.values()
            for packet in track.pop(
                now_ms - self.mixes.wait_ms(track.track_id), everything=everything
            )
        ]
        # In order of time, because one person may have several tracks.
        due.sort(key=lambda item: item[0].at_ms)
        for packet, track_id in due:
            self._route(packet, track_id)
        for speaker in self.speakers.values():
            speaker.flush()

    def describe(self) -> None:
        """Journal what was written since the last time."""
        for speaker in self.speakers.values():
            speaker.describe()

    def close(self, now_ms: float) -> None:
        """Empty every hold; says in the log what nobody ever claimed."""
        self.write(now_ms, everything=True)
        self.describe()
        for track_id, held in self._unclaimed.items():
            _log.warning(
                "%d packets of track %.40r were never attributed and are left out",
                len(held),
                track_id,
            )

    def _route(self, packet: Packet, track_id: str) -> None:
        assignment = self._owners.at(track_id, packet.at_ms)
        if assignment is None and self.mixes.holds(packet, track_id):
            # What was held before anybody knew that it is a mix was silence.
            self._unclaimed.pop(track_id, None)
            for share in self.mixes.shares(packet, track_id):
                self._hand(share.packet, share.participant_id, share.key)
        elif assignment is None:
            self._hand(packet, None, track_id)
        elif assignment.source == "microphone":
            self._hand(packet, assignment.participant_id, track_id)
        # The sound of a shared screen is nobody's voice: it is in the tab's video only.

    def _hand(self, packet: Packet, participant_id: str | None, key: str) -> None:
        """To its owner's file, or into the hold until there is one."""
        if participant_id is None:
            if key in self._unclaimed or len(self._unclaimed) < MAX_HOLDS:
                held = self._unclaimed.setdefault(key, deque(maxlen=MAX_UNCLAIMED))
                held.append(packet)
                self._overhear(packet, key)
            return
        speaker = self._speaker(participant_id)
        end_ms = packet.at_ms + packet.samples / SAMPLES_PER_MS
        if self._pauses.cover(packet.at_ms, end_ms):
            speaker.overhear(packet)
        else:
            speaker.add(packet)

    def _overhear(self, packet: Packet, key: str) -> None:
        if len(self._strangers) >= MAX_HOLDS and key not in self._strangers:
            return
        stranger = self._strangers.setdefault(key, VoiceDetector())
        stranger.hear(len(packet.payload), packet.samples, packet.level)
        if stranger.voice:
            self._stranger_voice_ms = max(packet.at_ms, self._stranger_voice_ms or 0.0)

    def _speaker(self, participant_id: str) -> SpeakerFile:
        speaker = self.speakers.get(participant_id)
        if speaker is None:
            speaker = SpeakerFile(participant_id, self._t0_ms, self._journal)
            self.speakers[participant_id] = speaker
        return speaker

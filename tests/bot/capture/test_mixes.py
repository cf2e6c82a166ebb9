"""Shared tracks: whose voice each packet of them is, and what their files then hold.

Three people say tones of their own, over one another for a sixth of the time, on the kinds of track
that servers send: three that take turns, one mix with contributing sources, one mix without any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext

from bot.capture.attribution import Mix, Owners, SourceOwner
from bot.capture.audio import AudioRecorder
from bot.capture.frames import Frame
from bot.capture.pauses import Pauses
from bot.capture.voices import Voices
from bot.recording.finalize import finalize
from bot.recording.journal import JournalWriter
from core.jobs.failures import ExitReason
from core.recordings.journal import Close, Open
from core.recordings.recording import Recording
from tests.bot.listening import decode, part, strength
from tests.bot.synthetic import FRAME, FRAME_MS, Network, opus, send

pytestmark = [pytest.mark.media, pytest.mark.timeout(120)]

T0 = 1_700_000_000_000.0
TONES = {"prt_a": 440.0, "prt_b": 1000.0, "prt_c": 2300.0}
SOURCES = {"prt_a": 4001, "prt_b": 4002, "prt_c": 4003}
SECONDS = 24


@dataclass(frozen=True)
class Turn:
    who: str
    start_ms: int
    end_ms: int


def turns() -> list[Turn]:
    """Two seconds each, the next one beginning 350 ms before the last has ended."""
    people = [*TONES]
    starts = range(0, SECONDS * 1000 - 2000, 1650)
    return [Turn(people[n % 3], start, start + 2000) for n, start in enumerate(starts)]


def speaking_at(ms: float) -> list[str]:
    return [turn.who for turn in turns() if turn.start_ms <= ms < turn.end_ms]


def mixed() -> tuple[bytes, ...]:
    """All voices in one stream, as a mixing server encodes it."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = 48_000, "mono", "s16"
    context.bit_rate, context.time_base = 32_000, Fraction(1, 48_000)
    packets: list[bytes] = []
    for number in range(SECONDS * 1000 // FRAME_MS):
        time = (np.arange(FRAME) + number * FRAME) / 48_000
        waves = [np.sin(2 * np.pi * TONES[one] * time) for one in speaking_at(number * FRAME_MS)]
        wave = 7000 * np.sum(waves, axis=0) if waves else np.zeros(FRAME)
        frame = av.AudioFrame.from_ndarray(
            wave.astype(np.int16)[None, :], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = 48_000, number * FRAME
        packets += [bytes(packet) for packet in context.encode(frame)]
    return tuple(packets)


def mix(*, sources: bool, linger_ms: float = 0) -> Iterator[Frame]:
    """Sources stay in the headers for `linger_ms` after they have fallen silent."""
    for frame in send(mixed(), T0, Network(jitter_ms=25)):
        at = frame.rtp / 48
        named = [one.who for one in turns() if one.start_ms <= at < one.end_ms + linger_ms]
        csrcs = tuple(SOURCES[one] for one in dict.fromkeys(named)) if sources else ()
        yield replace(frame, csrcs=csrcs)


def signs(late_ms: float = 200) -> list[tuple[float, str, bool]]:
    """What the page shows of who speaks."""
    return sorted(
        [(turn.start_ms + late_ms, turn.who, True) for turn in turns()]
        + [(turn.end_ms + late_ms, turn.who, False) for turn in turns()]
    )


def rotating(linger_ms: float = 0) -> Mapping[str, list[Frame]]:
    """Each turn on the next of three tracks; a track carries nothing between its turns.

    For so long, headers also name who had the track before.
    """
    tracks: dict[str, list[Frame]] = {f"slot-{n}": [] for n in range(3)}
    before: dict[int, str] = {}
    for number, turn in enumerate(turns()):
        # Not in step with the people: everybody comes by every track.
        slot = (number + number // 3) % 3
        voice = opus(TONES[turn.who], 2)
        sent = send(
            voice,
            T0 + turn.start_ms,
            Network(jitter_ms=25, seed=number),
            rtp=turn.start_ms * 48,
            sequence=number * 100,
            ssrc=70 + slot,
            index=slot,
        )
        own, last = SOURCES[turn.who], SOURCES[before.get(slot, turn.who)]
        for one in sent:
            lingers = last != own and one.rtp / 48 < turn.start_ms + linger_ms
            # The order in a header means nothing.
            both = (own, last) if one.sequence % 3 else (last, own)
            tracks[f"slot-{slot}"].append(replace(one, csrcs=both if lingers else (own,)))
        before[slot] = turn.who
    return tracks


class Room:
    """A recorder's audio, with what a page says about voices."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = JournalWriter(folder, Open(job_id="job_x", fence=1, t0_ms=T0))
        self.audio = AudioRecorder(Owners(), T0, self._journal, Pauses())
        self.voices = Voices(_no_guard)
        self.voices.start(self.audio, self._journal)

    def own(self, who: str, isolation: str = "time-slice") -> None:
        self.voices.own(SourceOwner(SOURCES[who], who, isolation, 0.9))  # type: ignore[arg-type]

    def play(
        self, tracks: Mapping[str, Sequence[Frame]], said: Sequence[tuple[float, str, bool]]
    ) -> None:
        """Frames and claims in the order of time; `said` are moments, people, and speaking."""
        arrivals = [
            (frame.arrival_ms, track, frame) for track, frames in tracks.items() for frame in frames
        ]
        claims = [(T0 + at, who, on) for at, who, on in said]
        now = T0
        for arrival, track, frame in sorted(arrivals, key=lambda one: one[0]):
            while claims and claims[0][0] <= arrival:
                at, who, on = claims.pop(0)
                # The page shows it a fifth of a second late, and says so.
                self.voices.speaks(who, at - 200, speaking=on)
            while arrival > now + 500:
                now += 500
                self.audio.write(now)
                self.audio.describe()
            self.audio.push("doc", track, frame)

    def over(self) -> Recording:
        end = T0 + SECONDS * 1000
        self.audio.close(end)
        self._journal.write(Close(at_ms=end, exit_reason=ExitReason.LEAVE_REQUESTED))
        self._journal.close()
        return finalize(self._folder)


class _no_guard:  # noqa: N801 - a context manager
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def heard(recording: Recording, who: str) -> tuple[float, float]:
    """Shares of time: own speech that is in the person's file, and others' speech in it that was
    said while the person was silent."""
    (file,) = [one for one in recording.media if one.participant_id == who]
    sound = decode(file.path)
    own = [turn for turn in turns() if turn.who == who]
    kept = foreign = alone = 0
    for at in range(0, SECONDS * 1000 - 100, 100):
        window = part(sound, at, at + 100)
        if len(window) < 4800:
            continue
        present = strength(window, TONES[who]) > -35
        if any(turn.start_ms <= at and at + 100 <= turn.end_ms for turn in own):
            kept += present
        elif not any(turn.start_ms - 100 < at < turn.end_ms + 100 for turn in own):
            alone += 1
            foreign += any(strength(window, TONES[one]) > -35 for one in TONES if one != who)
    total = sum((turn.end_ms - turn.start_ms) // 100 for turn in own)
    return kept / total, foreign / alone


def test_three_tracks_that_take_turns_become_one_file_for_each_person(tmp_path: Path) -> None:
    """Meet's shape: every person comes by every track."""
    room = Room(tmp_path / "job")
    for who in TONES:
        room.own(who)
    room.play(rotating(), [])
    recording = room.over()
    assert {one.participant_id for one in recording.media} == set(TONES)
    for file in recording.media:
        assert (file.attribution, file.isolation, file.confidence) == ("csrc", "time-slice", 0.9)
    for who in TONES:
        kept, foreign = heard(recording, who)
        assert kept >= 0.95, f"{who}: {kept:.1%} of the speech"
        # Overlapping people are on tracks of their own: nothing of them is in each other's files.
        assert foreign == 0


@pytest.mark.parametrize("late_ms", [0, 350])
def test_who_had_the_track_before_lingers_in_its_headers_and_is_not_heard(
    tmp_path: Path, late_ms: float
) -> None:
    """Also where the page shows late who speaks."""
    room = Room(tmp_path / "job")
    for who in TONES:
        room.own(who)
    room.play(rotating(linger_ms=1500), signs(late_ms=late_ms))
    recording = room.over()
    for who in TONES:
        kept, foreign = heard(recording, who)
        assert kept >= 0.95, f"{who}: {kept:.1%} of the speech"
        assert foreign == 0


def test_a_voice_that_changes_its_track_in_the_middle_of_a_word_goes_on(tmp_path: Path) -> None:
    """Every half second, with nothing lost on the way and no hole in the file."""
    room = Room(tmp_path / "job")
    room.own("prt_a")
    voice = opus(TONES["prt_a"], 10)
    tracks: dict[str, list[Frame]] = {f"slot-{n}": [] for n in range(3)}
    for place, frame in enumerate(send(voice, T0)):
        slot = place // 25 % 3
        # A receiver's own stream: its numbers go on where it was left.
        moved = replace(
            frame, index=slot, ssrc=70 + slot, sequence=place // 75 * 25 + place % 25, csrcs=(4001,)
        )
        tracks[f"slot-{slot}"].append(moved)
    room.play(tracks, [])
    (file,) = room.over().media
    sound = decode(file.path)
    windows = [part(sound, at, at + 20) for at in range(100, 9_900, 20)]
    assert sum(strength(window, TONES["prt_a"]) < -30 for window in windows) <= 2


def test_turns_before_the_roster_is_known_are_kept_for_their_owner(tmp_path: Path) -> None:
    """A roster lags by seconds; what was said meanwhile is nobody's until then, and not lost."""
    room = Room(tmp_path / "job")
    tracks = rotating()
    early = {
        name: [f for f in frames if f.arrival_ms < T0 + 9_000] for name, frames in tracks.items()
    }
    late = {
        name: [f for f in frames if f.arrival_ms >= T0 + 9_000] for name, frames in tracks.items()
    }
    room.play(early, [])
    assert not room.audio.has_media
    for who in TONES:
        room.own(who)
    room.play(late, [])
    recording = room.over()
    for who in TONES:
        assert heard(recording, who)[0] >= 0.95


def test_a_mix_with_sources_is_gated_packet_by_packet(tmp_path: Path) -> None:
    room = Room(tmp_path / "job")
    for who in TONES:
        room.own(who, "mixed-gated")
    room.play({"mix": [*mix(sources=True)]}, [])
    recording = room.over()
    assert {one.isolation for one in recording.media} == {"mixed-gated"}
    for who in TONES:
        kept, foreign = heard(recording, who)
        assert kept >= 0.95
        assert foreign <= 0.05


def test_a_mix_without_sources_is_gated_by_who_is_said_to_speak(tmp_path: Path) -> None:
    """Active-speaker signs are late by a fifth of a second; the hold makes up for it."""
    room = Room(tmp_path / "job")
    room.voices.declare(Mix("mix", "active-speaker", 0.6))
    room.play({"mix": [*mix(sources=False)]}, signs())
    recording = room.over()
    for file in recording.media:
        assert (file.attribution, file.isolation, file.confidence) == (
            "active-speaker",
            "mixed-gated",
            0.6,
        )
    for who in TONES:
        kept, foreign = heard(recording, who)
        assert kept >= 0.95
        assert foreign <= 0.05


def test_sources_that_linger_in_the_headers_are_told_apart_by_the_page(tmp_path: Path) -> None:
    """Everybody is named for seconds after they have stopped: the headers alone are not enough."""
    room = Room(tmp_path / "job")
    room.voices.declare(Mix("mix", "active-speaker", 0.6))
    for who in TONES:
        room.own(who, "mixed-gated")
    # The page shows it a good deal later than it says; who begins is in the headers at once.
    room.play({"mix": [*mix(sources=True, linger_ms=1200)]}, signs(late_ms=350))
    recording = room.over()
    assert {one.attribution for one in recording.media} == {"csrc"}
    for who in TONES:
        kept, foreign = heard(recording, who)
        assert kept >= 0.95
        assert foreign <= 0.2


def test_a_mix_whose_sources_nobody_owns_is_gated_by_the_page(tmp_path: Path) -> None:
    """Headers may name sources of which the page does not say whose they are."""
    room = Room(tmp_path / "job")
    room.voices.declare(Mix("mix", "active-speaker", 0.5))
    room.play({"mix": [*mix(sources=True, linger_ms=1200)]}, signs())
    recording = room.over()
    assert {one.attribution for one in recording.media} == {"active-speaker"}
    for who in TONES:
        kept, foreign = heard(recording, who)
        assert kept >= 0.95
        assert foreign <= 0.05


def test_the_bots_own_source_is_nobodys_file(tmp_path: Path) -> None:
    room = Room(tmp_path / "job")
    room.voices.own(SourceOwner(SOURCES["prt_a"], None, "time-slice", 1))
    room.own("prt_b")
    room.own("prt_c")
    room.play(rotating(), [])
    assert {one.participant_id for one in room.over().media} == {"prt_b", "prt_c"}


def test_a_page_that_invents_sources_without_end_is_bounded(tmp_path: Path) -> None:
    room = Room(tmp_path / "job")
    for number in range(5000):
        room.voices.own(SourceOwner(number, f"prt_{number}", "time-slice", 1))
    frames = send(opus(440, 2), T0)
    room.play(
        {
            "mix": [
                replace(one, csrcs=tuple(range(9000 + one.sequence * 15, 9015 + one.sequence * 15)))
                for one in frames
            ]
        },
        [],
    )
    assert len(room.audio.mixes._owners) == 2000
    assert len(room.audio._unclaimed) <= 500
    assert room.over().media == ()

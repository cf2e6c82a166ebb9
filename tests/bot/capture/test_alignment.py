"""One clock for everybody: synthetic senders through the recorder's audio, then listened to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.capture.attribution import Owners, TrackAssignment
from bot.capture.audio import AudioRecorder
from bot.capture.frames import Frame
from bot.recording.finalize import finalize
from bot.recording.journal import JournalWriter
from core.jobs.failures import ExitReason
from core.recordings.journal import Close, Open
from core.recordings.recording import MediaFile, Recording
from tests.bot.listening import RATE, Samples, decibels, decode, part
from tests.bot.synthetic import FRAME, Network, later, opus, send

pytestmark = [pytest.mark.media, pytest.mark.timeout(120)]

T0 = 1_700_000_000_000.0
BEEP = 200
PERIOD = 1000


def beeps(seconds: float) -> list[bytes | None]:
    return list(opus(880, seconds, BEEP, PERIOD - BEEP))


def claim(track: str, owner: str, source: str = "microphone") -> TrackAssignment:
    return TrackAssignment(track, owner, source, "track-owner", "track", 1.0)  # type: ignore[arg-type]


def record(
    tmp_path: Path,
    tracks: Mapping[str, Iterable[Frame]],
    seconds: float,
    owners: dict[str, str] | None = None,
) -> Recording:
    """Play the tracks into a recorder that writes every half second, as the real one does."""
    journal = JournalWriter(tmp_path / "job", Open(job_id="job_x", fence=1, t0_ms=T0))
    claims = Owners()
    audio = AudioRecorder(claims, T0, journal)
    for track in tracks:
        claims.assign(claim(track, (owners or {}).get(track, f"prt_{track}")), T0)
    arrivals = [(track, frame) for track, frames in tracks.items() for frame in frames]
    arrivals.sort(key=lambda arrival: arrival[1].arrival_ms)
    now = T0
    for track, frame in arrivals:
        while frame.arrival_ms > now + 500:
            now += 500
            audio.write(now)
            audio.describe()
        audio.push("doc", track, frame)
    audio.close(T0 + seconds * 1000)
    journal.write(Close(at_ms=T0 + seconds * 1000, exit_reason=ExitReason.LEAVE_REQUESTED))
    journal.close()
    return finalize(tmp_path / "job")


def file_of(recording: Recording, participant: str) -> MediaFile:
    return next(file for file in recording.media if file.participant_id == participant)


def onsets(sound: Samples) -> NDArray[np.float64]:
    """Where beeps start, ms: loud after 300 ms of quiet, so that a lost packet is no start."""
    loud = np.flatnonzero(np.abs(sound) > 0.05) / RATE * 1000
    starts = np.concatenate([[True], np.diff(loud) > 300])
    return np.asarray(loud[starts], np.float64)


def errors(sound: Samples, skip: int = 1) -> NDArray[np.float64]:
    """How far each beep is from its second, after the first ones."""
    found = onsets(sound)[skip:]
    return np.asarray(found - np.round(found / PERIOD) * PERIOD, np.float64)


@pytest.mark.parametrize(
    "network",
    [
        Network(),
        Network(jitter_ms=60, loss=0.01),
        Network(jitter_ms=20, swaps=0.05),
        Network(ppm=300),
        Network(ppm=-300, jitter_ms=30),
    ],
    ids=["clean", "jitter and loss", "reordered", "fast clock", "slow clock and jitter"],
)
def test_beeps_stay_within_20_ms_on_any_network(tmp_path: Path, network: Network) -> None:
    """MF-12 asks for 40 ms; the reference design measured 20."""
    tracks = {"0": send(beeps(60), T0, network)}
    recording = record(tmp_path, tracks, 60)
    sound = decode(file_of(recording, "prt_0").path)
    clean = record(tmp_path / "clean", {"0": send(beeps(60), T0)}, 60)
    reference = onsets(decode(file_of(clean, "prt_0").path))
    found = onsets(sound)
    assert len(found) == len(reference) == 60
    assert np.abs(found - reference).max() <= 20


def test_reordered_packets_are_all_there_in_order(tmp_path: Path) -> None:
    frames = list(send(beeps(10), T0))
    for place in range(0, 480, 7):
        first, second = frames[place], frames[place + 1]
        frames[place] = second
        frames[place + 1] = replace(first, arrival_ms=second.arrival_ms + 1)
    straight = record(tmp_path / "a", {"0": send(beeps(10), T0)}, 10)
    mixed = record(tmp_path / "b", {"0": frames}, 10)
    a = decode(file_of(straight, "prt_0").path)
    b = decode(file_of(mixed, "prt_0").path)
    assert len(a) == len(b)
    assert decibels(a - b) < -80


def test_counters_that_wrap_change_nothing(tmp_path: Path) -> None:
    plain = record(tmp_path / "a", {"0": send(beeps(10), T0)}, 10)
    wrapped = record(
        tmp_path / "b",
        {"0": send(beeps(10), T0, rtp=2**32 - 100 * FRAME, sequence=65_500)},
        10,
    )
    a, b = (file_of(one, "prt_0").path.read_bytes() for one in (plain, wrapped))
    assert a == b


def test_dtx_is_filled_with_silence(tmp_path: Path) -> None:
    packets = beeps(20)
    quiet: list[bytes | None] = [
        packet if (place * 20) % PERIOD < BEEP + 60 or place % 20 == 0 else None
        for place, packet in enumerate(packets)
    ]
    recording = record(tmp_path, {"0": send(quiet, T0, Network(jitter_ms=10))}, 20)
    file = file_of(recording, "prt_0")
    assert len(decode(file.path)) / RATE == pytest.approx(20, abs=0.01)
    assert np.abs(errors(decode(file.path)) - 6.5).max() <= 12
    # Nothing was lost, so nothing is a gap.
    assert file.gaps == ()


def test_a_loss_is_a_gap_of_the_track_and_shifts_nothing(tmp_path: Path) -> None:
    frames = [frame for place, frame in enumerate(send(beeps(20), T0)) if not 400 <= place < 460]
    recording = record(tmp_path, {"0": frames}, 20)
    file = file_of(recording, "prt_0")
    assert len(file.gaps) == 1
    assert file.gaps[0].start_ms == pytest.approx(8005, abs=10)
    assert file.gaps[0].end_ms - file.gaps[0].start_ms == pytest.approx(1200, abs=2)
    assert "60 packets" in file.gaps[0].reason
    sound = decode(file.path)
    assert np.abs(errors(sound) - errors(sound)[0]).max() <= 5
    assert decibels(part(sound, 8100, 9100)) < -80


def test_a_late_joiner_starts_where_they_joined(tmp_path: Path) -> None:
    tracks = {"0": send(beeps(30), T0), "1": send(beeps(10), T0 + 20_000, ssrc=8, index=1)}
    recording = record(tmp_path, tracks, 30)
    early, late = (decode(file_of(recording, f"prt_{n}").path) for n in (0, 1))
    assert len(early) == len(late)
    assert decibels(part(late, 0, 19_900)) < -90
    assert onsets(late)[0] == pytest.approx(onsets(early)[20], abs=3)


def test_a_sender_whose_clock_stands_still_while_muted_is_placed_where_it_speaks(
    tmp_path: Path,
) -> None:
    spoken = list(send(beeps(20), T0))
    frames = [*spoken[:500], *(later(frame, 7_000) for frame in spoken[500:])]
    recording = record(tmp_path, {"0": frames}, 27)
    found = onsets(decode(file_of(recording, "prt_0").path))
    assert found[10] - found[9] == pytest.approx(8_000, abs=10)
    assert len(found) == 20


def test_a_stall_of_the_network_moves_nothing(tmp_path: Path) -> None:
    frames = [
        replace(frame, arrival_ms=max(frame.arrival_ms, T0 + 10_400))
        if frame.arrival_ms > T0 + 10_000
        else frame
        for frame in send(beeps(20), T0)
    ]
    recording = record(tmp_path, {"0": frames}, 20)
    sound = decode(file_of(recording, "prt_0").path)
    assert len(onsets(sound)) == 20
    assert np.abs(errors(sound) - errors(sound)[0]).max() <= 6


def test_a_new_track_after_a_reconnect_goes_on_in_the_same_file(tmp_path: Path) -> None:
    tracks = {
        "0": send(beeps(10), T0),
        "1": send(beeps(10), T0 + 15_000, ssrc=99, rtp=123_456, sequence=9, index=1),
    }
    recording = record(tmp_path, tracks, 25, owners={"0": "prt_a", "1": "prt_a"})
    assert [file.participant_id for file in recording.media] == ["prt_a"]
    found = onsets(decode(recording.media[0].path))
    assert len(found) == 20
    assert found[10] - found[9] == pytest.approx(6_000, abs=10)


def test_two_tracks_of_one_person_do_not_mix(tmp_path: Path) -> None:
    """While both run, the one that speaks holds the file."""
    silent: Sequence[bytes | None] = [b"\xf8\xff\xfe"] * 1000
    tracks = {"0": send(silent, T0), "1": send(beeps(20), T0, ssrc=9, index=1)}
    recording = record(tmp_path, tracks, 20, owners={"0": "prt_a", "1": "prt_a"})
    sound = decode(recording.media[0].path)
    assert len(sound) / RATE == pytest.approx(20, abs=0.05)
    assert len(onsets(sound)) >= 19


def test_frames_wait_for_their_owner_and_are_not_lost(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "job", Open(job_id="job_x", fence=1, t0_ms=T0))
    owners = Owners()
    audio = AudioRecorder(owners, T0, journal)
    for frame in send(beeps(5), T0):
        audio.push("doc", "mic", frame)
    audio.write(T0 + 5_000)
    assert not audio.has_media
    owners.assign(claim("mic", "prt_a"), T0 + 5_000)
    audio.claim("mic")
    audio.close(T0 + 5_000)
    journal.close()
    sound = decode(finalize(tmp_path / "job").media[0].path)
    assert len(onsets(sound)) == 5


def test_the_sound_of_a_shared_screen_is_nobodys_voice(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "job", Open(job_id="job_x", fence=1, t0_ms=T0))
    owners = Owners()
    audio = AudioRecorder(owners, T0, journal)
    owners.assign(claim("screen", "prt_a", "screen"), T0)
    for frame in send(beeps(3), T0):
        audio.push("doc", "screen", frame)
    audio.close(T0 + 3_000)
    journal.close()
    assert finalize(tmp_path / "job").media == ()


def test_speech_spans_are_where_the_beeps_are(tmp_path: Path) -> None:
    packets = list(opus(880, 30, 2_000, 8_000))
    file = file_of(record(tmp_path, {"0": send(packets, T0)}, 30), "prt_0")
    assert len(file.speech) == 3
    for place, span in enumerate(file.speech):
        assert span.start_ms == pytest.approx(max(0, place * 10_000 - 200), abs=60)
        assert span.end_ms == pytest.approx(place * 10_000 + 2_300, abs=200)

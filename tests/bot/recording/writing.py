"""Attempts written the way the recorder writes them, for tests of what comes after."""

from __future__ import annotations

from pathlib import Path

from bot.capture.attribution import Owners, TrackAssignment
from bot.capture.audio import AudioRecorder
from bot.recording.journal import JournalWriter
from bot.recording.ogg import OggOpusMuxer
from core.jobs.failures import ExitReason
from core.recordings.journal import (
    Attributed,
    CaptionSaid,
    ChatSaid,
    Close,
    Open,
    ParticipantSeen,
    RosterMoved,
    StreamOpened,
)
from tests.bot.synthetic import FRAME, opus, send

T0 = 1_700_000_000_000.0
JOB = "job_01HXY1AB7M2QNTWA9YQRH5JEP6"


def write_attempt(
    work_dir: Path,
    *,
    fence: int = 1,
    start_ms: float = 0,
    seconds: float = 10,
    frequencies: tuple[float, ...] = (440.0, 880.0),
    ids: tuple[str, ...] = ("prt_a", "prt_b"),
    closed: bool = True,
) -> None:
    """One attempt: a tone per person, who join together with the bot; chat and captions."""
    t0 = T0 + start_ms
    journal = JournalWriter(work_dir, Open(job_id=JOB, fence=fence, t0_ms=t0))
    owners = Owners()
    audio = AudioRecorder(owners, t0, journal)
    bot = ParticipantSeen(
        id=f"prt_bot{fence}", platform_id="self", display_name="Notes", speaker_label="",
        is_bot=True,
    )  # fmt: skip
    journal.write(bot)
    for number, (id_, frequency) in enumerate(zip(ids, frequencies, strict=True)):
        journal.write(
            ParticipantSeen(
                id=id_, platform_id=f"p{number}", display_name=f"Person {number}",
                speaker_label="",
            ),
            RosterMoved(
                type="participant.join", participant_id=id_, display_name=f"Person {number}",
                at_ms=t0,
            ),
            Attributed(
                track_id=f"t{number}", participant_id=id_, source="microphone",
                attribution="track-owner", isolation="track", confidence=1.0,
            ),
        )  # fmt: skip
        claim = TrackAssignment(f"t{number}", id_, "microphone", "track-owner", "track", 1.0)
        owners.assign(claim, t0)
        packets = opus(frequency, seconds)
        for place, frame in enumerate(send(packets, t0, ssrc=number, index=number)):
            audio.push("doc", f"t{number}", frame)
            if place % 50 == 49:
                audio.write(t0 + place * 20 + 20)
                audio.describe()
    end = t0 + seconds * 1000
    audio.close(end)
    journal.write(
        ChatSaid(at_ms=t0 + 1000, participant_id=ids[0], display_name="Person 0", text="Hello"),
        CaptionSaid(
            start_ms=500, end_ms=1500, participant_id=ids[0], display_name="Person <0>",
            text="Good\n\nmorning --> & <all>",
        ),
    )  # fmt: skip
    if closed:
        journal.write(Close(at_ms=end, exit_reason=ExitReason.CALL_ENDED))
    journal.close()


def write_hour(work_dir: Path, speakers: int = 3) -> None:
    """An hour of several people, with a segment a second each, as fast as can be written."""
    journal = JournalWriter(work_dir, Open(job_id=JOB, fence=1, t0_ms=T0))
    second = opus(440, 1)
    for number in range(speakers):
        id_ = f"prt_{number}"
        journal.write(ParticipantSeen(id=id_, platform_id=id_, display_name=id_, speaker_label=""))
        name = f"audio.{id_}.ogg"
        opened = StreamOpened(stream=name, kind="per-speaker", participant_id=id_)
        stream = journal.open_stream(opened)
        muxer = OggOpusMuxer(number)
        for now in range(3600 - number):
            for half in (second[:25], second[25:]):
                for packet in half:
                    muxer.add(packet, FRAME)
                muxer.flush()
            stream.append(muxer.take())
            journal.describe(stream, now * 1000 + 1000, ((now * 1000, now * 1000 + 500),))
    journal.write(Close(at_ms=T0 + 3_600_000, exit_reason=ExitReason.CALL_ENDED))
    journal.close()

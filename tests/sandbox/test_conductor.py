from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.clock import epoch_ms
from sandbox.conductor import Conductor
from sandbox.messages import Captioned, Said
from sandbox.room import Room
from sandbox.schemas import RoomOptions, RoomState
from sandbox.script import FRAME_SECONDS, SILENCE, Script, ScriptLine, Speaker, load_script
from sandbox.tracks import FrameClock
from sandbox.visitor import Visitor
from tests.sandbox.conftest import ManualClock

pytestmark = pytest.mark.unit


@dataclass
class Actor:
    id: str
    speaker: Speaker
    muted: bool = False


@dataclass
class Play:
    """A conductor with everything it told."""

    conductor: Conductor
    cast: dict[str, Actor]
    script: Script
    frames: FrameClock
    clock: ManualClock
    told: list[Said | Captioned]
    endings: list[bool]

    def speak(self, line: ScriptLine, cycle: int = 0) -> list[bytes | None]:
        """Ask for all frames of a line at their time, as a track does."""
        base = self.frames.now() + 1
        self.clock.advance(FRAME_SECONDS * (1 + line.start + cycle * self.script.frames))
        sent = []
        for frame in range(line.start, line.end):
            at = base + frame + cycle * self.script.frames
            sent.append(self.conductor.sound(line.speaker, at).payload)
            self.clock.advance(FRAME_SECONDS)
        return sent


def play(clock: ManualClock, *, loop: bool = False) -> Play:
    script = load_script("short")
    cast = {key: Actor(f"p_{key}", speaker) for key, speaker in script.speakers.items()}
    frames = FrameClock(clock)
    told: list[Said | Captioned] = []
    endings: list[bool] = []
    conductor = Conductor(
        script,
        cast,
        frames,
        clock,
        loop=loop,
        captions=True,
        announce=told.append,
        finished=lambda: endings.append(True),
    )
    return Play(conductor, cast, script, frames, clock, told, endings)


async def finish(on: Play) -> None:
    task = on.conductor._task
    assert task
    await task


async def test_all_is_quiet_before_the_start(clock: ManualClock) -> None:
    on = play(clock)
    assert on.conductor.sound("ada", on.script.lines[0].start).payload == SILENCE
    assert on.conductor.timeline == ()


async def test_a_line_is_sent_packet_by_packet_and_noted_with_its_times(clock: ManualClock) -> None:
    on = play(clock)
    line = on.script.lines[1]
    on.conductor.start()
    began = epoch_ms(clock.now())
    assert on.speak(line) == list(line.speech.packets)
    (said,) = on.conductor.timeline
    assert said.text == line.text
    assert said.display_name == "Ben Ortiz"
    assert said.started_at_ms == pytest.approx(began + (line.start + 1) * 20, abs=2)
    assert said.ended_at_ms == pytest.approx(said.started_at_ms + 20 * (line.end - line.start - 1))
    await on.conductor.close()


@pytest.mark.parametrize("missed", [0, 25], ids=("sent late", "missed at first"))
async def test_a_sentence_began_when_it_was_due(clock: ManualClock, missed: int) -> None:
    """Packets are stamped by that clock: whoever records them knows no other moment."""
    on = play(clock)
    line = on.script.lines[1]
    on.conductor.start()
    began = epoch_ms(clock.now())
    clock.advance((line.start + missed + 1) * 0.02 + 0.3)
    on.conductor.sound(line.speaker, line.start + missed + 1)
    (said,) = on.conductor.timeline
    assert said.started_at_ms == pytest.approx(began + (line.start + 1) * 20, abs=2)
    await on.conductor.close()


async def test_what_nobody_asked_for_was_not_sent_and_is_not_in_the_timeline(
    clock: ManualClock,
) -> None:
    on = play(clock)
    on.conductor.start()
    on.speak(on.script.lines[0])
    assert [said.text for said in on.conductor.timeline] == [on.script.lines[0].text]
    await on.conductor.close()


async def test_a_looped_script_says_its_lines_again(clock: ManualClock) -> None:
    on = play(clock, loop=True)
    line = on.script.lines[0]
    on.conductor.start()
    assert on.speak(line, cycle=2) == list(line.speech.packets)
    await on.conductor.close()


async def test_a_script_that_does_not_loop_ends_in_silence(clock: ManualClock) -> None:
    on = play(clock)
    on.conductor.start()
    assert set(on.speak(on.script.lines[0], cycle=1)) == {SILENCE}
    await finish(on)
    assert on.endings == [True]


async def test_a_muted_peer_says_nothing(clock: ManualClock) -> None:
    on = play(clock)
    on.cast["ada"].muted = True
    on.conductor.start()
    assert set(on.speak(on.script.lines[0])) == {SILENCE}
    assert on.conductor.timeline == ()
    await on.conductor.close()


async def test_discontinuous_transmission_sends_a_byte_now_and_then(clock: ManualClock) -> None:
    """MF: gaps on the wire, as clients with DTX make them: one byte every 400 ms."""
    on = play(clock)
    on.conductor.start()
    frame = on.frames.now() + 1 + on.script.lines[-1].end
    after = [on.conductor.sound("cleo", frame + i).payload for i in range(210)]
    assert after[:10] == [SILENCE] * 10
    assert after[10:].count(b"\x78") == 10
    assert after[10:].count(None) == 190
    await on.conductor.close()


async def test_captions_grow_and_end_with_the_whole_sentence(clock: ManualClock) -> None:
    on = play(clock)
    on.conductor.start()
    await finish(on)
    captions = [told.caption for told in on.told if isinstance(told, Captioned)]
    first = [caption for caption in captions if caption.participant_id == "p_ada"]
    assert len({caption.caption_id for caption in first}) == 1
    assert [caption.final for caption in first] == [False] * (len(first) - 1) + [True]
    assert all(first[-1].text.startswith(caption.text) for caption in first)
    assert first[-1].text == on.script.lines[0].text


async def test_chat_is_posted_once_when_its_line_begins(clock: ManualClock) -> None:
    on = play(clock)
    on.conductor.start()
    began = epoch_ms(clock.now())
    await finish(on)
    (said,) = (told.message for told in on.told if isinstance(told, Said))
    assert said.display_name == "Ben Ortiz"
    assert said.at == pytest.approx(began + (on.script.lines[1].start + 1) * 20, abs=2)


@pytest.mark.parametrize(
    ("ends", "state"), [(True, RoomState.ENDED), (False, RoomState.OPEN)], ids=["ends", "stays"]
)
async def test_a_room_ends_with_its_script_if_made_so(
    clock: ManualClock, ends: bool, state: RoomState
) -> None:
    options = RoomOptions(script="short", loop=False, ends_when_script_ends=ends)
    room = Room(options, clock, load_script("short"))
    guest = Visitor("Guest", host=False)
    room.enter(guest)
    assert room.stage
    room.stage._conductor.start()
    assert room.stage._conductor._task
    await room.stage._conductor._task
    assert room.state is state
    assert guest.gone is ends
    await room.close()

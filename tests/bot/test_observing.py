"""What the room's page tells, while the recording is paused and of other bots (LC-06, LC-30)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bot.auto_leave import Seen
from bot.browser.bridge import Bridge
from bot.capture.attribution import TrackAssignment
from bot.competing import Notetakers
from bot.control import CompetingBotSeen
from bot.news import RoomNews
from bot.observing import RoomObserver
from bot.platforms.observations import CaptionSeen, ParticipantSeen, RosterSeen
from bot.recording.finalize import finalize
from core.jobs.failures import ExitReason
from tests.bot.capture.test_pauses import T0, Meeting
from tests.bot.synthetic import opus, send
from tests.support.clock import START

pytestmark = pytest.mark.unit


class Watched(Meeting):
    """A meeting whose roster and captions are observed, too."""

    def __init__(self, work_dir: Path, *, leaving: bool = False) -> None:
        super().__init__(work_dir)
        self.told: list[Any] = []
        news = RoomNews(self.clock, self.told.append, Notetakers(), leaving=leaving)
        bridge = cast(Bridge, self.page)
        self.observer = RoomObserver(bridge, self.recorder, self.clock, news)

    def present(self, *names: str, left_late_ms: float = 0) -> None:
        people = [ParticipantSeen(platform_id=f"p {name}", display_name=name) for name in names]
        self.page.handlers["roster"](RosterSeen(participants=people, left_late_ms=left_late_ms))

    def named(self, **names: str) -> None:
        """Everybody by platform id; `bot` is the bot's."""
        people = [
            ParticipantSeen(platform_id=key, display_name=name, is_self=key == "bot")
            for key, name in names.items()
        ]
        self.page.handlers["roster"](RosterSeen(participants=people))

    def looks(self) -> Seen:
        """What the rules of leaving are asked every second."""
        return self.observer.seen(arrived_at=0, in_room_since=0)

    def caption(self, caption_id: str, text: str, *, final: bool = False) -> None:
        self.page.handlers["caption"](
            CaptionSeen(
                caption_id=caption_id,
                platform_id="p Ann",
                display_name="Ann",
                text=text,
                final=final,
            )
        )


async def test_a_caption_that_reaches_into_a_pause_ends_at_it(tmp_path: Path) -> None:
    """LC-06: what was said in the pause is in no caption, whenever it becomes final."""
    meeting = Watched(tmp_path / "job")
    meeting.observer.recording_starts()
    await meeting.start([])
    meeting.present("Ann")
    meeting.caption("1", "Before the")
    await meeting.run(1)
    meeting.observer.pause()
    await meeting.recorder.pause()
    await meeting.run(1)
    meeting.caption("1", "Before the pause, and within")
    meeting.caption("2", "Within")
    await meeting.recorder.resume()
    await meeting.run(1)
    meeting.caption("1", "Before the pause, and within, and after", final=True)
    meeting.caption("2", "Within, and after", final=True)
    meeting.caption("3", "After")
    await meeting.run(1)
    meeting.caption("3", "After it", final=True)
    meeting.observer.finish()
    await meeting.recorder.stop(ExitReason.LEAVE_REQUESTED)
    said = [(one.text, one.start_ms, one.end_ms) for one in finalize(meeting.work_dir).captions]
    assert said == [("Before the", 0, 1000), ("After it", 3000, 4000)]


@pytest.mark.parametrize("leaving", [False, True])
async def test_another_bot_is_told_once_whoever_comes_and_goes(
    tmp_path: Path, leaving: bool
) -> None:
    """LC-30, PL-14."""
    meeting = Watched(tmp_path / "job", leaving=leaving)
    meeting.present("Ann", "Oliver Otterman")
    meeting.present("Ann", "Otter.ai")
    meeting.present("Ann")
    meeting.present("Otter.ai", "Fireflies.ai Notetaker")
    assert [(type(one), one.display_name, one.bot_name, one.leaving) for one in meeting.told] == [
        (CompetingBotSeen, "Otter.ai", "Otter", leaving),
        (CompetingBotSeen, "Fireflies.ai Notetaker", "Fireflies", leaving),
    ]
    assert len({one.participant_id for one in meeting.told}) == 2


async def test_who_left_is_told_late_and_left_at_the_earliest_that_their_voice_allows(
    tmp_path: Path,
) -> None:
    """MF-09, D24: Meet's list is about a minute old."""
    meeting = Watched(tmp_path / "job")
    # Ann speaks until second 6.
    await meeting.start(list(send(opus(880, 4, 200, 800), T0 + 2000)))
    meeting.present("Ann", "Ben", "Cleo")
    ann = meeting.observer.roster.called("Ann")[0].id
    meeting.recorder.assign(TrackAssignment("t0", ann, "microphone", "track-owner", "track", 1.0))
    await meeting.run(60)
    meeting.present("Cleo", left_late_ms=58_000)
    meeting.present()
    await meeting.recorder.stop(ExitReason.LEAVE_REQUESTED)
    left = [one for one in finalize(meeting.work_dir).roster if one.type == "participant.leave"]
    moments = {one.display_name: (one.at - START).total_seconds() for one in left}
    assert moments == {"Ben": 2, "Ann": pytest.approx(6, abs=1), "Cleo": 60}
    assert {one.display_name for one in left if one.approx} == {"Ann", "Ben"}


async def test_a_caption_that_is_corrected_after_its_end_is_written_once(tmp_path: Path) -> None:
    """PL-08: with its last words, from when it began until its words had been said."""
    meeting = Watched(tmp_path / "job")
    meeting.observer.recording_starts()
    await meeting.start([])
    meeting.present("Ann")
    meeting.caption("1", "Eye")
    await meeting.run(1)
    meeting.caption("1", "Eye scream", final=True)
    await meeting.run(1)
    meeting.caption("1", "Ice cream", final=True)
    await meeting.run(2)
    meeting.looks()
    meeting.caption("1", "Ice cream.", final=True)
    meeting.observer.finish()
    await meeting.recorder.stop(ExitReason.LEAVE_REQUESTED)
    said = [(one.text, one.start_ms, one.end_ms) for one in finalize(meeting.work_dir).captions]
    assert said == [("Ice cream", 0, 1000)]


async def test_a_caption_ends_with_its_words_and_not_with_the_next_one(tmp_path: Path) -> None:
    """PL-08: pages end a line when somebody speaks again, which may take minutes."""
    meeting = Watched(tmp_path / "job")
    meeting.observer.recording_starts()
    await meeting.start([])
    meeting.present("Ann")
    meeting.caption("1", "That was")
    await meeting.run(1)
    meeting.caption("1", "That was all")
    await meeting.run(60)
    meeting.caption("1", "That was all", final=True)
    meeting.caption("2", "Oh, and")
    await meeting.run(1)
    meeting.observer.finish()
    await meeting.recorder.stop(ExitReason.LEAVE_REQUESTED)
    said = [(one.text, one.start_ms, one.end_ms) for one in finalize(meeting.work_dir).captions]
    assert said == [("That was all", 0, 3000), ("Oh, and", 61_000, 62_000)]


async def test_people_are_delivered_under_their_last_names(tmp_path: Path) -> None:
    """PL-11, LC-30: a notetaker whose name comes late is told, too."""
    meeting = Watched(tmp_path / "job")
    await meeting.start([])
    meeting.named(bot="meetbot", x="", y="Ben")
    meeting.named(bot="meetbot", x="Otter.ai", y="Benjamin")
    await meeting.run(1)
    await meeting.recorder.stop(ExitReason.LEAVE_REQUESTED)
    people = [one.display_name for one in finalize(meeting.work_dir).participants]
    # Ann is the one whom the recorder knows before.
    assert people == ["Ann", "Otter.ai", "Benjamin"]
    assert [one.display_name for one in meeting.told] == ["Otter.ai"]


async def test_a_bot_that_is_recognised_late_waits_for_somebody_to_come(tmp_path: Path) -> None:
    """LC-26: it took itself for somebody else at first."""
    meeting = Watched(tmp_path / "job")
    meeting.named(me="meetbot")
    assert meeting.looks().human_seen_at is not None
    people = [ParticipantSeen(platform_id="me", display_name="meetbot", is_self=True)]
    meeting.page.handlers["roster"](RosterSeen(participants=people))
    assert meeting.looks().human_seen_at is None

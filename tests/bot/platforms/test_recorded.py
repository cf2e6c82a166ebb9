"""A meeting of three on every replica, recorded: whose voice, chat, captions and roster
(PL-07 to PL-12, PL-40, PL-46, PL-64; design.md on attribution)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser

from bot.recording.finalize import finalize
from core.jobs.failures import ExitReason
from core.recordings.recording import Recording
from sandbox.schemas import Utterance
from tests.bot.listening import decibels, decode, part
from tests.bot.platforms.conftest import Visitor, Visits
from tests.bot.platforms.shares import shares
from tests.replicas.common.media import Speakers, known_sentences, names, script
from tests.replicas.common.mixing import overlap
from tests.replicas.common.rooms import Scenario
from tests.replicas.common.server import Replicas
from tests.replicas.platforms import REPLICAS, ReplicaPlatform

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Shape:
    """One meeting: a platform, and how voices come there."""

    platform: ReplicaPlatform
    topology: str
    api: bool = True
    attribution: str = "track-owner"
    isolation: str = "track"
    # How much at least of each person's own speech is in their file.
    kept: float = 0.85


TEAMS, WEBEX, ZOOM, MEET = (
    next(one for one in REPLICAS if one.slug == slug) for slug in ("teams", "webex", "zoom", "meet")
)
RECORDED = {
    one.slug: Shape(one, one.topology)
    for one in REPLICAS
    if one.topology in {"mesh", "bridge", "sfu"}
} | {
    "teams": Shape(TEAMS, "mix", True, "csrc", "mixed-gated"),
    # The client's call object cannot be reached: by the outline around who speaks.
    "teams-outline": Shape(TEAMS, "mix", False, "active-speaker", "mixed-gated"),
    "webex": Shape(WEBEX, "mix", True, "active-speaker", "mixed-gated"),
    "meet": Shape(MEET, "turns", True, "csrc", "time-slice"),
    # The client's channels cannot be read: by the tiles that glow.
    "meet-glow": Shape(MEET, "turns", False, "active-speaker", "mixed-gated"),
    # Without WebRTC. One person is shown to speak at a time: of two at once one is missing.
    "zoom-played": Shape(ZOOM, "played", True, "active-speaker", "mixed-gated", kept=0.5),
}
IDS = [*RECORDED]
OWN_TRACKS = [name for name, shape in RECORDED.items() if shape.isolation == "track"]
SHARED = [name for name, shape in RECORDED.items() if shape.isolation != "track"]
RIGHT = 0.95
GOES = 3
# A page that had to wait for so long for what comes every 20 ms was not in real time.
IN_TIME_MS = 200
# When people come and go, where the platform says so.
SOON = timedelta(seconds=2)
TICK = timedelta(milliseconds=20)
RATE = 16_000
NEAR_MS = 500
WAIT_SECONDS = 40
# More pages with sound than these starve one another.
AT_ONCE = 4


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():
            await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Moves:
    """When Dora came and when the third person went, by the wall clock."""

    came: datetime
    went: datetime


async def meet(visitor: Visitor, speakers: Speakers, topology: str) -> Moves:
    """The whole meeting, from the door to the end."""
    room, replica, people = visitor.room, visitor.replica, names()
    await visitor.enter()
    visitor.observer.recording_starts()
    await visitor.recorder.start()
    await room.settle_in()
    await speakers.begin(topology)
    await asyncio.wait_for(speakers.over.wait(), WAIT_SECONDS)
    replica.says(people[1], "Here is the <b>link</b>")
    await room.send_chat("Thank you, 42 🎈")
    came = datetime.now(UTC)
    replica.comes("Dora Late")
    await until(lambda: len(visitor.observer.roster.others) == 4)
    went = datetime.now(UTC)
    replica.goes(people[2])
    await until(lambda: len(visitor.observer.roster.others) == 3)
    await until(lambda: len(visitor.observer._chat_ids) == 2)
    visitor.observer.finish()
    await visitor.recorder.stop(ExitReason.LEAVE_REQUESTED)
    await room.leave()
    await asyncio.wait_for(replica.gone.wait(), WAIT_SECONDS)
    return Moves(came, went)


@dataclass(frozen=True)
class Recorded:
    recording: Recording
    visitor: Visitor
    said: tuple[Utterance, ...]
    voiced: Mapping[str, Sequence[float]]
    kept_up: bool
    moves: Moves

    @property
    def late_ms(self) -> float:
        """How long a page that plays sound by itself had to wait for some of it, as it says."""
        guest = self.visitor.replica.guest
        told = guest.heard if guest else []
        return float(max((one["ms"] for one in told if one["type"] == "late"), default=0))


@pytest.fixture(scope="module")
async def meetings(
    replica_browser: Browser, replicas: Replicas, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Recorded]]:
    """Many at once: a meeting lasts as long as it lasts."""
    visits = Visits(replica_browser, replicas, tmp_path_factory.mktemp("meetings"))
    try:
        turn = asyncio.Semaphore(AT_ONCE)
        all_of_them = await asyncio.gather(
            *(record(visits, one, turn) for one in RECORDED.values())
        )
        yield dict(zip(IDS, all_of_them, strict=True))
    finally:
        for context in visits.contexts:
            await context.close()


async def record(visits: Visits, shape: Shape, turn: asyncio.Semaphore) -> Recorded:
    """Up to three goes: a busy machine leaves out some of what should have been said, and a page
    that plays sound by itself has to be in time."""
    recorded = await record_once(visits, shape, turn)
    for _ in range(GOES - 1):
        if recorded.kept_up and recorded.late_ms <= IN_TIME_MS:
            break
        recorded = await record_once(visits, shape, turn)
    return recorded


async def record_once(visits: Visits, shape: Shape, turn: asyncio.Semaphore) -> Recorded:
    async with turn:
        visitor = await visits.make(shape.platform, Scenario(people=names(), api=shape.api))
        async with Speakers(visitor.replica, shape.platform.stream_id) as speakers:
            moves = await meet(visitor, speakers, shape.topology)
        await visitor.context.close()
    recording = await asyncio.to_thread(finalize, visitor.work_dir)
    return Recorded(recording, visitor, speakers.timeline, speakers.voiced, speakers.kept_up, moves)


@pytest.mark.parametrize("slug", IDS)
async def test_everybody_is_known_for_as_long_as_they_were_there(
    meetings: dict[str, Recorded], slug: str
) -> None:
    recording = meetings[slug].recording
    called = {one.id: one.display_name for one in recording.participants if not one.is_bot}
    assert sorted(called.values()) == sorted([*names(), "Dora Late"])
    (host,) = [one for one in recording.participants if one.is_host]
    assert host.display_name == names()[0]
    left = [one.participant_id for one in recording.roster if one.type == "participant.leave"]
    assert [called[one] for one in left if one in called] == [names()[2]]
    moves = meetings[slug].moves
    at = {(called.get(one.participant_id), one.type): one.at for one in recording.roster}
    assert -TICK <= at["Dora Late", "participant.join"] - moves.came < SOON
    if slug != "meet":
        assert -TICK <= at[names()[2], "participant.leave"] - moves.went < SOON
    # Meet's own list of people is as old as its last asking for it (D24).
    late = {one.approx for one in recording.roster if one.type == "participant.leave"}
    assert late == {slug == "meet"}


@pytest.mark.parametrize("slug", OWN_TRACKS)
async def test_a_file_holds_only_its_speaker(meetings: dict[str, Recorded], slug: str) -> None:
    """One each, whatever connections there were."""
    recording, said = meetings[slug].recording, meetings[slug].said
    ids = {one.platform_id: one.id for one in recording.participants}
    files = [one for one in recording.media if one.kind == "per-speaker"]
    assert len(files) == len({one.participant_id for one in files}) == 3
    assert {(one.attribution, one.isolation) for one in files} == {("track-owner", "track")}
    start = recording.started_at.timestamp() * 1000
    sounds = {one.participant_id: decode(one.path, RATE) for one in files}
    spoken = [
        (ids[one.participant_id], one.started_at_ms - start, one.ended_at_ms - start)
        for one in said
        if one.ended_at_ms is not None
    ]
    assert len(spoken) == 4
    compared = 0
    for who, first, last in spoken:
        own = decibels(part(sounds[who], first, last, RATE))
        assert own > -40, "the sentence is in its speaker's file"
        for other, sound in sounds.items():
            talks = any(
                one == other and begin < last + NEAR_MS and end > first - NEAR_MS
                for one, begin, end in spoken
            )
            if other != who and not talks:
                compared += 1
                assert decibels(part(sound, first, last, RATE)) < own - 30
    assert compared >= 4


@pytest.mark.parametrize("slug", SHARED)
async def test_a_shared_track_is_given_to_who_speaks(
    meetings: dict[str, Recorded], slug: str
) -> None:
    """Whatever the server mixes or rotates, at least 95 % of it is with the right people only."""
    recording, shape = meetings[slug].recording, RECORDED[slug]
    assert overlap(script()) >= 0.15
    files = [one for one in recording.media if one.kind == "per-speaker"]
    assert len(files) == len({one.participant_id for one in files}) == 3
    how = {(one.attribution, one.isolation) for one in files}
    assert how == {(shape.attribution, shape.isolation)}
    found = shares(recording, meetings[slug].voiced)
    print(f"\n{slug}: {found}")  # noqa: T201 - the figure is the point
    late = meetings[slug].late_ms
    # By its own clock, in each of three goes: what was played differs from what is compared with.
    if found.right < RIGHT and late > IN_TIME_MS:
        pytest.skip(f"The machine is too busy to play sound in time: {late:.0f} ms late. {found}")
    assert found.right >= RIGHT, f"{found}\n{found.picture}"
    assert min(found.kept.values()) >= shape.kept


@pytest.mark.parametrize("slug", IDS)
async def test_chat_and_captions_are_kept_with_their_authors(
    meetings: dict[str, Recorded], slug: str
) -> None:
    recording, visitor = meetings[slug].recording, meetings[slug].visitor
    assert visitor.replica.chat == ["Thank you, 42 🎈"], "sent once"
    called = {one.id: one.display_name for one in recording.participants}
    written = [(one.display_name, one.text) for one in recording.chat]
    assert written[0] == (names()[1], "Here is the <b>link</b>")
    assert written[1][1] == "Thank you, 42 🎈"
    assert called.get(recording.chat[0].participant_id or "") == names()[1]
    assert visitor.replica.captions_wanted
    if visitor.platform.captions:
        whole = [one for one in recording.captions if one.text in known_sentences()]
        assert {one.display_name for one in whole} == set(names())
        assert all(called[one.participant_id or ""] == one.display_name for one in whole)

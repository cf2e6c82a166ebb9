"""What the page says about the room, handed to the recorder and to the auto-leave clocks."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from bot.auto_leave import Seen
from bot.browser.bridge import Bridge
from bot.capture.attribution import Mix, SourceOwner, TrackAssignment
from bot.capture.recorder import Recorder
from bot.news import RoomNews
from bot.platforms.observations import (
    CaptionSeen,
    ChatSeen,
    MixSeen,
    OwnerSeen,
    RosterSeen,
    SourceSeen,
    SpeakingSeen,
    Trouble,
    ViewSeen,
)
from bot.roster import Roster, clean_name
from core.clock import Clock, from_epoch_ms
from core.recordings.recording import Caption, ChatMessage, Participant

log = logging.getLogger(__name__)

V = TypeVar("V")

MAX_PENDING: Final = 2000
# Chat that was written long before the meeting, or in the future, gets our own time.
_CHAT_AGE: Final = timedelta(days=1)
# How old a sign of somebody's speaking may be by the page's own clock.
_SIGN_AGE_MS: Final = 5_000.0
# Clients correct what they have finished: so long a caption waits before it is written.
_CORRECTION_MS: Final = 2_000
# A caption whose words have not changed for so long has been said, whenever its page ends it.
_LINGER_MS: Final = 2_000


@dataclass
class _OpenCaption:
    """In ms of the recording. `said_ms`: its words changed last; `final_ms`: its page ended it."""

    start_ms: int
    seen: CaptionSeen
    said_ms: int
    final_ms: int | None = None


class RoomObserver:
    """Listens on the bridge for the whole session. `view_changed` wakes whoever looks."""

    def __init__(
        self,
        bridge: Bridge,
        recorder: Recorder,
        clock: Clock,
        news: RoomNews,
        *,
        bot_name: str = "",
    ) -> None:
        self.view_changed = asyncio.Event()
        self.roster = Roster(news.notetakers, clean_name(bot_name))
        self._recorder = recorder
        self._news = news
        self._clock = clock
        self._recording_since_ms: float | None = None
        self._human_seen_at: float | None = None
        self._alone_since: float | None = None
        self._host_seen = False
        self._host_gone_since: float | None = None
        # Who the page shows to speak and cannot be told from others, such as two of one name; and
        # when one of them was last shown.
        self._strangers: OrderedDict[str, None] = OrderedDict()
        self._stranger_voice_at: float | None = None
        # Whose each track is that belongs to exactly one person.
        self._owned: OrderedDict[str, str] = OrderedDict()
        self._unowned: OrderedDict[str, OwnerSeen] = OrderedDict()
        # Sources of people whom the roster does not have yet.
        self._sources: OrderedDict[str, SourceSeen] = OrderedDict()
        self._chat_ids: OrderedDict[str, None] = OrderedDict()
        self._captions: OrderedDict[str, _OpenCaption] = OrderedDict()
        # Captions that were written, or that reach into a pause: no more is taken of them.
        self._hushed: OrderedDict[str, None] = OrderedDict()
        bridge.on("view", ViewSeen, lambda _: self.view_changed.set())
        bridge.on("roster", RosterSeen, self._roster)
        bridge.on("owner", OwnerSeen, self._owner)
        bridge.on("source", SourceSeen, self._source)
        bridge.on("mix", MixSeen, self._mix)
        bridge.on("speaking", SpeakingSeen, self._speaking)
        bridge.on("chat", ChatSeen, self._chat)
        bridge.on("caption", CaptionSeen, self._caption)
        bridge.on("trouble", Trouble, lambda said: log.warning("Page script: %s", said.detail))

    def recall(self, participants: Sequence[Participant]) -> None:
        """Earlier attempts at this job met these people: the meeting began long ago."""
        self.roster.recall(participants)
        if any(not person.is_bot for person in participants):
            self._human_seen_at = self._clock.monotonic()
        self._host_seen = any(person.is_host for person in participants)

    def unmuted(self, track_id: str) -> bool:
        """Whether a track is one person's own, and that person's microphone is on."""
        owner = self._owned.get(track_id)
        return owner is not None and self.roster.unmuted(owner)

    def recording_starts(self) -> None:
        """Captions are timed from here; call right before the recorder starts."""
        self._recording_since_ms = self._recorder.now_ms()

    def seen(self, *, arrived_at: float | None, in_room_since: float | None) -> Seen:
        """The snapshot that the auto-leave rules judge; moments in `Clock.monotonic` seconds."""
        # Asked every second: those that nobody follows up are written, too.
        self._settle_captions()
        now = self._clock.monotonic()
        return Seen(
            arrived_at=arrived_at,
            in_room_since=in_room_since,
            human_seen_at=self._human_seen_at,
            alone_since=self._alone_since,
            last_voice_at=self._last_voice_at(now),
            host_gone_since=self._host_gone_since,
            competing_bot=self.roster.competing_bot,
        )

    def _last_voice_at(self, now: float) -> float | None:
        if self._strangers:
            self._stranger_voice_at = now
        heard, shown = self._recorder.last_voice_at_ms(), self._stranger_voice_at
        if heard is None:
            return shown
        at = now - (self._recorder.now_ms() - heard) / 1000
        return at if shown is None else max(at, shown)

    def pause(self) -> None:
        """The recording is about to pause: what is being said ends here, as far as it is known."""
        for caption_id in [*self._captions]:
            _remember(self._hushed, caption_id, None)
        self.finish()

    def finish(self) -> None:
        """The meeting is over: captions that were still growing end as they stand."""
        while self._captions:
            _, caption = self._captions.popitem(last=False)
            self._write_caption(caption)

    def _roster(self, seen: RosterSeen) -> None:
        at_ms = self._recorder.now_ms()
        change = self.roster.update(seen)
        for participant in change.joined:
            self._recorder.joined(participant, at_ms)
            self._news.joined(participant)
        for participant_id in change.left:
            self._recorder.left(participant_id, at_ms, seen.left_late_ms)
        for participant in change.changed:
            self._recorder.known(participant)
            self._news.joined(participant)
        self._keep_clocks()
        for owner in [*self._unowned.values()]:
            self._owner(owner)
        for source in [*self._sources.values()]:
            self._source(source)

    def _keep_clocks(self) -> None:
        now = self._clock.monotonic()
        if not self.roster.met_others:
            # Whom the page had shown was the bot itself.
            self._human_seen_at = None
        if self.roster.humans:
            self._human_seen_at = self._human_seen_at or now
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        if self.roster.host_present:
            self._host_seen, self._host_gone_since = True, None
        elif self._host_seen and self._host_gone_since is None:
            self._host_gone_since = now

    def _owner(self, seen: OwnerSeen) -> None:
        participant = self.roster.find(seen.platform_id)
        if participant is None or participant.is_bot:
            # Said before the roster was, or before it knew who the bot is.
            _remember(self._unowned, seen.track_id, seen)
            return
        self._unowned.pop(seen.track_id, None)
        if seen.source == "microphone" and seen.isolation == "track":
            _remember(self._owned, seen.track_id, seen.platform_id)
        self._recorder.assign(
            TrackAssignment(
                track_id=seen.track_id,
                participant_id=participant.id,
                source=seen.source,
                attribution=seen.attribution,
                isolation=seen.isolation,
                confidence=seen.confidence,
            )
        )

    def _source(self, seen: SourceSeen) -> None:
        participant = self.roster.find(seen.platform_id)
        if participant is None or participant.is_bot:
            _remember(self._sources, str(seen.csrc), seen)
        else:
            self._sources.pop(str(seen.csrc), None)
        if participant is None:
            return
        owner = None if participant.is_bot else participant.id
        self._recorder.voices.own(SourceOwner(seen.csrc, owner, seen.isolation, seen.confidence))

    def _mix(self, seen: MixSeen) -> None:
        self._recorder.voices.declare(Mix(seen.track_id, seen.attribution, seen.confidence))

    def _speaking(self, seen: SpeakingSeen) -> None:
        participant = self.roster.find(seen.platform_id)
        self._strangers.pop(seen.platform_id, None)
        if participant is None and seen.speaking:
            self._stranger_voice_at = self._clock.monotonic()
            _remember(self._strangers, seen.platform_id, None)
        if participant is not None and not participant.is_bot:
            now = self._recorder.now_ms()
            shown = now if seen.at_ms is None else min(max(seen.at_ms, now - _SIGN_AGE_MS), now)
            at_ms = shown - seen.lag_ms
            self._recorder.voices.speaks(participant.id, at_ms, speaking=seen.speaking)

    def _chat(self, seen: ChatSeen) -> None:
        if seen.message_id in self._chat_ids:
            return
        _remember(self._chat_ids, seen.message_id, None)
        participant = self.roster.find(seen.platform_id)
        at = now = self._clock.now()
        if (
            seen.at_ms is not None
            and abs(now.timestamp() - seen.at_ms / 1000) < _CHAT_AGE.total_seconds()
        ):
            at = min(from_epoch_ms(seen.at_ms), now)
        message = ChatMessage(
            at=at,
            participant_id=participant.id if participant else None,
            display_name=_name(seen.display_name, participant.display_name if participant else ""),
            text=seen.text,
        )
        self._recorder.chat(message)
        self._news.said(message, participant)

    def _caption(self, seen: CaptionSeen) -> None:
        if self._recorder.paused:
            _remember(self._hushed, seen.caption_id, None)
        if seen.caption_id in self._hushed:
            return
        self._settle_captions()
        now = self._recording_ms()
        caption = self._captions.get(seen.caption_id)
        if caption is None:
            caption = _OpenCaption(now, seen, now)
            if dropped := _remember(self._captions, seen.caption_id, caption):
                self._write_caption(dropped)
        elif seen.text != caption.seen.text:
            caption.said_ms = now
        caption.seen = seen
        if not seen.final:
            caption.final_ms = None
        elif caption.final_ms is None:
            caption.final_ms = now

    def _settle_captions(self) -> None:
        """Write those that nobody corrects any more."""
        limit = self._recording_ms() - _CORRECTION_MS
        done = [
            one
            for one in self._captions.values()
            if one.final_ms is not None and one.final_ms <= limit
        ]
        for caption in done:
            del self._captions[caption.seen.caption_id]
            self._write_caption(caption)

    def _write_caption(self, caption: _OpenCaption) -> None:
        seen = caption.seen
        _remember(self._hushed, seen.caption_id, None)
        participant = self.roster.find(seen.platform_id)
        ended_ms = self._recording_ms() if caption.final_ms is None else caption.final_ms
        self._recorder.caption(
            Caption(
                start_ms=caption.start_ms,
                end_ms=max(min(ended_ms, caption.said_ms + _LINGER_MS), caption.start_ms + 1),
                participant_id=participant.id if participant else None,
                display_name=_name(
                    seen.display_name, participant.display_name if participant else ""
                ),
                text=" ".join(seen.text.split()),
            )
        )

    def _recording_ms(self) -> int:
        now = self._recorder.now_ms()
        return max(0, round(now - (self._recording_since_ms or now)))


def _name(said: str, known: str) -> str:
    return clean_name(said) or known or "Unknown"


def _remember(store: OrderedDict[str, V], key: str, value: V) -> V | None:
    """Keep the newest `MAX_PENDING`; answers the one that had to go."""
    store[key] = value
    return store.popitem(last=False)[1] if len(store) > MAX_PENDING else None

"""What page scripts of drivers say about a room: claims, checked and bounded.

Platform ids and names are the page's; they never select a path or a participant id of ours.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bot.platforms.room import View
from core.recordings.recording import Attribution, Isolation

PlatformId = Annotated[str, Field(max_length=300)]
Name = Annotated[str, Field(max_length=1000)]


class _Observation(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class ParticipantSeen(_Observation):
    platform_id: Annotated[str, Field(min_length=1, max_length=300)]
    display_name: Name
    is_self: bool = False
    is_host: bool = False
    muted: bool | None = None


class RosterSeen(_Observation):
    """Everybody who is in the room now, the bot included (kind `roster`).

    Whoever is missing since the last one may have left as long ago as `left_late_ms`.
    """

    participants: Annotated[list[ParticipantSeen], Field(max_length=2000)]
    left_late_ms: Annotated[float, Field(ge=0, le=120_000)] = 0


class OwnerSeen(_Observation):
    """Whose a media track is (kind `owner`); `track_id` is the MediaStreamTrack's id."""

    track_id: PlatformId
    platform_id: PlatformId
    source: Literal["microphone", "camera", "screen"]
    attribution: Attribution
    isolation: Isolation
    confidence: Annotated[float, Field(ge=0, le=1)]


class SourceSeen(_Observation):
    """Whose a contributing source (CSRC) of received audio is (kind `source`)."""

    csrc: Annotated[int, Field(ge=0, lt=2**32)]
    platform_id: PlatformId
    isolation: Literal["time-slice", "mixed-gated"]
    confidence: Annotated[float, Field(ge=0, le=1)]


class MixSeen(_Observation):
    """A track holds the voices of all who are said to speak (kind `mix`)."""

    track_id: PlatformId
    attribution: Literal["signalling", "active-speaker", "caption-author"]
    confidence: Annotated[float, Field(ge=0, le=1)]


class SpeakingSeen(_Observation):
    """Somebody began or stopped to speak (kind `speaking`), `lag_ms` before the page showed it.

    `at_ms`: when the page showed it, since 1970; None for now.
    """

    platform_id: PlatformId
    speaking: bool
    at_ms: float | None = None
    lag_ms: Annotated[float, Field(ge=0, le=2000)] = 0


class ChatSeen(_Observation):
    """One message of the meeting's chat (kind `chat`); `at_ms` since 1970 when the page says."""

    message_id: PlatformId
    platform_id: PlatformId
    display_name: Name
    text: Annotated[str, Field(max_length=10_000)]
    at_ms: float | None = None


class CaptionSeen(_Observation):
    """A caption as it stands now (kind `caption`); told again while its text grows."""

    caption_id: PlatformId
    platform_id: PlatformId
    display_name: Name
    text: Annotated[str, Field(max_length=5_000)]
    final: bool


class ViewSeen(_Observation):
    """The page shows something else now (kind `view`)."""

    view: View


class Trouble(_Observation):
    """The page script met something that it did not expect (kind `trouble`)."""

    detail: Annotated[str, Field(max_length=500)]


class PageSight(_Observation):
    """The answer of the command `room.look`; `reason` is the platform's word for an ending."""

    view: View
    reason: Annotated[str, Field(max_length=200)] = ""
    evidence: Annotated[str, Field(max_length=500)] = ""
    waiting_for_host: bool = False

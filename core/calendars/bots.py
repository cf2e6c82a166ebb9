"""From an event that is to be recorded to the job that records it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from core.calendars.events import Facts
from core.calendars.models import CalendarConnection, CalendarRule
from core.errors import BadInput
from core.invites.links import Link, find_link
from core.jobs.creation import NewJob
from core.jobs.leaving import leaving_policy
from core.jobs.models import Source
from core.jobs.spec import RecordingOptions, TranscriptionOptions
from core.platforms.registry import Detected, DetectionContext, detect, spec_of
from core.settings import Settings

SANDBOX: Final = "sandbox"


class BotDefaults(BaseModel):
    """What a rule says of the jobs it causes, as `POST /api/v1/jobs` has it, checked by the API."""

    model_config = ConfigDict(frozen=True)

    display_name: str | None = None
    leave_behavior: str | None = None
    # Only what was sent: the rest comes from `leave_behavior` and the platform (LC-23).
    auto_leave: dict[str, Any] = {}
    recording: RecordingOptions | None = None
    transcription: TranscriptionOptions | None = None
    webhooks: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}


@dataclass(frozen=True)
class Bots:
    """Makes requests for jobs of one connection."""

    settings: Settings
    connection: CalendarConnection

    def link_in(self, *parts: Any) -> Link | None:
        """The link of the first part that has one that this connection may join."""
        return next(filter(None, (find_link(part, self._context) for part in parts)), None)

    def request(self, facts: Facts, rule: CalendarRule, end: datetime) -> NewJob | None:
        """The job of an event; None where its link leads to no platform any more."""
        detected = self._detected(facts.url)
        if detected is None or facts.url is None:
            return None
        asked = BotDefaults.model_validate(rule.bot_defaults or {})
        # A test connection drives a scripted room that is made when the bot starts (design.md D13).
        scripted = not self.connection.livemode and detected.platform != SANDBOX
        delay = spec_of(detected.platform).entry_delay_seconds
        return NewJob(
            team_id=self.connection.team_id,
            livemode=self.connection.livemode,
            platform=detected.platform,
            driver=SANDBOX if scripted else detected.platform,
            meeting_url=facts.url,
            room_url=None if scripted else detected.url,
            display_name=asked.display_name or self.settings.intake.bot_name,
            region=self.settings.region,
            source=Source.CALENDAR,
            leave_behavior=asked.leave_behavior,
            auto_leave=leaving_policy(asked.leave_behavior, asked.auto_leave, delay),
            recording=asked.recording or RecordingOptions(),
            transcription=asked.transcription,
            webhooks=asked.webhooks,
            labels={
                **asked.metadata,
                "calendar": {
                    "connectionId": self.connection.id,
                    "ruleId": rule.id,
                    "title": facts.title,
                    "organizer": facts.organizer or "",
                    "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
                },
            },
        )

    def _detected(self, url: str | None) -> Detected | None:
        if url is None:
            return None
        try:
            return detect(url, context=self._context)
        except BadInput:
            return None

    @property
    def _context(self) -> DetectionContext:
        return DetectionContext(
            sandbox_origin=self.settings.sandbox.origin,
            livemode=self.connection.livemode,
            trusted_origins=self.settings.trusted_origins,
            jitsi_server_url=self.settings.jitsi_server_url,
        )

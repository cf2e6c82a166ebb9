"""Invites that a mail worker hands in, and what becomes of them (API-75)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from api.schemas.wire import MomentIn, MomentOut, Request, Response
from core.invites.limits import MOST_BYTES
from core.invites.planning import Action
from core.invites.refusals import Reason
from core.invites.taking import Decision

Text = Annotated[str, Field(max_length=1_000)]
LongText = Annotated[str, Field(max_length=100_000)]
Verdict = Literal["pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror"]


class PersonIn(Request):
    """An organizer or attendee."""

    email: Text | None = None
    name: Text | None = None


class AuthIn(Request):
    """What mail authentication found; `alignedDomain` is what it proved for the From address."""

    spf: Verdict = "none"
    dkim: Verdict = "none"
    dmarc: Verdict = "none"
    aligned_domain: Annotated[str, Field(max_length=255)] | None = None


class CalendarInvite(Request):
    """One event of a mail: as fields, or as `rawIcs`, which counts where it is sent."""

    recipient: Annotated[str, Field(min_length=3, max_length=320)]
    method: Literal["REQUEST", "CANCEL"]
    message_id: Text | None = None
    uid: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    sequence: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    recurrence_id: MomentIn | None = None
    organizer: PersonIn = PersonIn()
    attendees: Annotated[list[PersonIn], Field(max_length=2_000, default_factory=list)]
    summary: Text | None = None
    description: LongText | None = None
    location: Annotated[str, Field(max_length=10_000)] | None = None
    start: MomentIn | None = None
    end: MomentIn | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    rrule: Text | None = None
    meeting_url: Annotated[str, Field(max_length=2048)] | None = None
    raw_ics: Annotated[str, Field(max_length=MOST_BYTES)] | None = None
    sender: Text | None = None
    envelope_from: Text | None = None
    auth: AuthIn = AuthIn()

    @model_validator(mode="after")
    def _says_which_event(self) -> Self:
        if self.raw_ics is not None:
            return self
        if self.uid is None or self.start is None or self.organizer.email is None:
            raise ValueError("Send rawIcs, or uid, start and organizer.email.")
        return self


class InvitedJob(Response):
    """One job of an invite; `joinAt` is when its meeting begins."""

    job_id: str
    external_id: str
    join_at: MomentOut
    action: Action


class IntakeResult(Response):
    """What became of an invite: its jobs, or why there are none."""

    accepted: bool
    ignored_reason: Reason | None
    # For a person, in a sentence.
    message: str | None
    jobs: list[InvitedJob]

    @classmethod
    def of(cls, decision: Decision) -> IntakeResult:
        return cls(
            accepted=decision.accepted,
            ignored_reason=decision.reason,
            message=decision.message,
            jobs=[
                InvitedJob(
                    job_id=one.job.id,
                    external_id=one.job.external_id,
                    join_at=one.starts_at,
                    action=one.action,
                )
                for one in decision.changes
            ],
        )

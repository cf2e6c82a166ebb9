"""Why an invite makes no bot come; the words go on the wire and into mails (API-75, CAL-09)."""

from __future__ import annotations

from enum import StrEnum

from core.errors import BadInput


class Reason(StrEnum):
    """`ignoredReason` of an invite."""

    NO_MEETING_URL = "no_meeting_url"
    IN_PAST = "in_past"
    UNKNOWN_SENDER = "unknown_sender"
    UNVERIFIED_SENDER = "unverified_sender"
    NOT_THE_SENDER = "not_the_sender"
    OUTDATED = "outdated"
    ALL_DAY = "all_day"
    TOO_FAR_AHEAD = "too_far_ahead"
    CREDIT_EXHAUSTED = "credit_exhausted"
    CANNOT_RECORD = "cannot_record"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    NO_INVITE = "no_invite"
    # A person's answer to somebody else's invite.
    ONLY_AN_ANSWER = "only_an_answer"


class InviteRefused(BadInput):
    """The invite cannot be taken; `reason` says why in one word, the message what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def unreadable(what: str) -> InviteRefused:
    """For texts that are no iCalendar."""
    return InviteRefused(Reason.UNREADABLE, f"The calendar part cannot be read: {what}.")


def unsupported(what: str) -> InviteRefused:
    """For what the standard allows and we do not take."""
    return InviteRefused(Reason.UNSUPPORTED, f"The invite asks for too much: {what}.")

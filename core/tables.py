"""Imports every table, for the migrations and the mappers."""

from sqlmodel import SQLModel

from core.accounts.login_models import CliLogin, MagicLink
from core.accounts.models import ApiKey, LoginSession, Membership, Team, User
from core.billing.models import CreditEntry, UsageEvent
from core.billing.stripe_models import (
    BillingAccount,
    MeterEvent,
    PaymentMethodSeen,
    StripeGrant,
    StripeNoticeSeen,
)
from core.calendars.models import (
    CalendarChannel,
    CalendarConnection,
    CalendarEvent,
    CalendarLogin,
    CalendarRule,
)
from core.dispatch.workers import WorkerSeen
from core.erasure.models import Erasure
from core.idempotency import IdempotentRequest
from core.integrations.models import Integration
from core.invites.models import Invitation, InvitedMeeting
from core.jobs.live_models import IngestedMessage, JobNotice, LentMedia
from core.jobs.models import Job, JobCommand, Transition
from core.jobs.postponed import PostponedUpload
from core.rate_limits import RateWindow
from core.storage.team import TeamStorage
from core.transcripts.models import ProviderKey, TeamTranscription, TranscriptRequest
from core.webhooks.models import Delivery, DeliveryAttempt

__all__ = [
    "ApiKey",
    "BillingAccount",
    "CalendarChannel",
    "CalendarConnection",
    "CalendarEvent",
    "CalendarLogin",
    "CalendarRule",
    "CliLogin",
    "CreditEntry",
    "Delivery",
    "DeliveryAttempt",
    "Erasure",
    "IdempotentRequest",
    "IngestedMessage",
    "Integration",
    "Invitation",
    "InvitedMeeting",
    "Job",
    "JobCommand",
    "JobNotice",
    "LentMedia",
    "LoginSession",
    "MagicLink",
    "Membership",
    "MeterEvent",
    "PaymentMethodSeen",
    "PostponedUpload",
    "ProviderKey",
    "RateWindow",
    "StripeGrant",
    "StripeNoticeSeen",
    "Team",
    "TeamStorage",
    "TeamTranscription",
    "TranscriptRequest",
    "Transition",
    "UsageEvent",
    "User",
    "WorkerSeen",
    "metadata",
]

metadata = SQLModel.metadata

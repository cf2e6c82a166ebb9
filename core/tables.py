"""Imports every table, for the migrations and the mappers."""

from sqlmodel import SQLModel

from core.accounts.models import ApiKey, Team
from core.billing.models import UsageEvent
from core.jobs.live_models import IngestedMessage, JobNotice, LentMedia
from core.jobs.models import Job, JobCommand, Transition
from core.webhooks.models import Delivery, DeliveryAttempt

__all__ = [
    "ApiKey",
    "Delivery",
    "DeliveryAttempt",
    "IngestedMessage",
    "Job",
    "JobCommand",
    "JobNotice",
    "LentMedia",
    "Team",
    "Transition",
    "UsageEvent",
    "metadata",
]

metadata = SQLModel.metadata

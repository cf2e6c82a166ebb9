"""What the routes work with; made once per process by `api.app`."""

from __future__ import annotations

from dataclasses import dataclass

from api.feed import JobFeed
from core.clock import Clock
from core.database import Database
from core.dispatch.base import Dispatcher
from core.network.addresses import Resolve
from core.secrets import SecretBox
from core.settings import Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    clock: Clock
    database: Database
    box: SecretBox
    dispatcher: Dispatcher
    feed: JobFeed
    resolver: Resolve

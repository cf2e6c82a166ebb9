"""Looks whether the accounts that teams lend to bots are still signed in (PL-24)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from bot.account_check import Check, Standing, check_account
from core.clock import Clock
from core.database import Database
from core.integrations import health
from core.integrations.models import Integration
from core.integrations.state import Provider, StorageState
from core.secrets import SecretBox
from core.settings import Settings
from flows.resources import open_resources

log = logging.getLogger(__name__)

LOCK: Final = "check-accounts"
# One after the other: each is a browser, on a machine that has meetings to record. At 288 rounds a
# day this is room for 1,440 accounts; more are looked at less often.
MOST_AT_ONCE: Final = 5

Checker = Callable[[Settings, Provider, StorageState], Awaitable[Check]]


@dataclass(frozen=True)
class Rounds:
    """`check` asks a provider's page."""

    database: Database
    box: SecretBox
    settings: Settings
    clock: Clock
    check: Checker = check_account

    async def go(self) -> int:
        """Look at what is due; how many accounts were found to be signed out."""
        revoked = 0
        for _ in range(MOST_AT_ONCE):
            async with self.database.begin() as session:
                due = await health.take_due(session, now=self.clock.now(), limit=1)
            for row in due:
                revoked += await self._look(row)
            if not due:
                break
        return revoked

    async def _look(self, row: Integration) -> bool:
        state = StorageState.model_validate_json(
            self.box.open(row.storage_state).get_secret_value()
        )
        found = await self.check(self.settings, row.provider, state)
        async with self.database.begin() as session:
            now = self.clock.now()
            if found.standing is Standing.SIGNED_IN:
                await health.note_good(session, self.box, row, found.state, now=now)
            elif found.standing is Standing.SIGNED_OUT:
                problem = f"Its provider asks to sign in again ({found.led_to})."
                await health.note_revoked(session, row, problem, now=now)
                log.warning("%s is signed out: %s", row.id, problem)
            else:
                await health.note_unknown(session, row, now=now)
        return found.standing is Standing.SIGNED_OUT


@task(cache_policy=NO_CACHE, timeout_seconds=600)
async def check_due() -> int:
    """One round; the number of accounts found signed out, 0 while another round is at it."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        if not alone:
            return 0
        rounds = Rounds(resources.database, resources.box, resources.settings, resources.clock)
        return await rounds.go()


@flow(name="check-accounts")
async def check_accounts() -> int:
    """Ask the providers of lent accounts that nobody has asked for a day."""
    return await check_due()

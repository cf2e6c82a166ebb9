"""Gives recurring invites their next jobs, as the days come closer (CAL-08)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from core.clock import Clock
from core.database import Database
from core.errors import BadInput
from core.invites.models import Invitation
from core.invites.placing import one_at_a_time
from core.invites.planning import Action, Planner
from core.invites.taking import due_invitations, stored_series
from core.secrets import SecretBox
from core.settings import Settings
from flows.resources import open_resources

log = logging.getLogger(__name__)

LOCK: Final = "horizon"
# How much nearer the horizon of an invitation may come before it is looked at again.
SLACK: Final = timedelta(hours=6)
BATCH: Final = 50
MOST_BATCHES: Final = 20
# When what keeps an invitation from being planned may be over.
AGAIN: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Horizon:
    """Plans what is due. Runs are made by `reconcile`, which sees jobs without one."""

    database: Database
    box: SecretBox
    settings: Settings
    clock: Clock

    async def extend(self) -> int:
        """How many jobs were made."""
        made = 0
        span = timedelta(days=self.settings.intake.horizon_days)
        for _ in range(MOST_BATCHES):
            async with self.database.begin() as session:
                before = self.clock.now() + span - SLACK
                due = [one.id for one in await due_invitations(session, before=before, limit=BATCH)]
            for invitation_id in due:
                made += await self._extend(invitation_id, span)
            if len(due) < BATCH:
                break
        return made

    async def _extend(self, invitation_id: str, span: timedelta) -> int:
        """One invitation in a transaction of its own: a bad one keeps back no other."""
        try:
            async with self.database.begin() as session:
                now = self.clock.now()
                found = await session.get_one(Invitation, invitation_id)
                # As for mails and calendars: two claims on one meeting must not make two jobs.
                await one_at_a_time(session, found.team_id)
                invitation = await session.get_one(
                    Invitation, invitation_id, with_for_update=True, populate_existing=True
                )
                series = stored_series(invitation, self.box, self.settings)
                planner = Planner(session, self.box, self.settings, now, late=False)
                plan = await planner.plan(invitation, series)
                if plan.refused is not None:
                    log.warning("%s lacks a job: %s", invitation_id, plan.refused.message)
                    invitation.planned_until = now + span - SLACK + AGAIN
        except BadInput as error:
            log.warning("%s was not planned: %s", invitation_id, error.message)
            async with self.database.begin() as session:
                invitation = await session.get_one(Invitation, invitation_id, with_for_update=True)
                invitation.planned_until = self.clock.now() + span - SLACK + AGAIN
            return 0
        return sum(one.action is Action.CREATED for one in plan.changes)


@task(cache_policy=NO_CACHE, timeout_seconds=600)
async def extend_all() -> int:
    """One round; the number of jobs that were made, 0 while another round is at it."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        if not alone:
            return 0
        return await Horizon(
            resources.database, resources.box, resources.settings, resources.clock
        ).extend()


@flow(name="horizon")
async def horizon() -> int:
    """Make the jobs of recurring invites that have come within the horizon."""
    return await extend_all()

"""A team's accounts: connecting them, and lending each to one bot at a time (API-46, PL-24)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import SecretStr
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from core.errors import BadInput, Issue, NotFound, SignedOut
from core.ids import new_id, parse_id
from core.integrations.models import Integration
from core.integrations.state import DOMAINS, Provider, StorageState
from core.jobs.lifecycle import TERMINAL
from core.jobs.models import Job
from core.secrets import SecretBox

log = logging.getLogger(__name__)

# Whose account a platform's page asks for; bots on other platforms are always guests.
PROVIDERS: Final = {
    "meet": Provider.GOOGLE,
    "teams": Provider.MICROSOFT,
    "webex": Provider.WEBEX,
    "zoom": Provider.ZOOM,
}
MOST_OF_A_TEAM: Final = 100
CONNECT: Final = "POST /api/v1/integrations/{provider}/connect"


@dataclass(frozen=True)
class Owner:
    """A team, in one of its two worlds (CV-12)."""

    team_id: str
    livemode: bool


async def connect(
    session: AsyncSession,
    box: SecretBox,
    owner: Owner,
    provider: Provider,
    label: str,
    state: StorageState,
    *,
    now: datetime,
) -> Integration:
    """Put an account into the team's pool. One with the same label is connected anew.

    Raises:
        BadInput: it has no cookie of the provider, all have run out, or the pool is full.
    """
    _check(state, provider, now)
    found = await _pool(session, owner)
    row = next((one for one in found if (one.provider, one.label) == (provider, label)), None)
    if row is None:
        if len(found) >= MOST_OF_A_TEAM:
            raise BadInput(f"A team has {MOST_OF_A_TEAM} integrations at most; delete one first.")
        row = Integration(
            id=new_id("int"),
            team_id=owner.team_id,
            livemode=owner.livemode,
            provider=provider,
            label=label,
            storage_state="",
            created_at=now,
        )
    row.storage_state = box.seal(SecretStr(json.dumps(state.opened())))
    row.expires_at = state.expires_at(provider)
    row.problem = row.checked_at = row.held_until = None
    session.add(row)
    await session.flush()
    return row


async def integrations_of(session: AsyncSession, owner: Owner) -> Sequence[Integration]:
    """All accounts of a pool, the oldest first."""
    return (await session.exec(_of(owner))).all()


async def disconnect(session: AsyncSession, owner: Owner, text: str) -> None:
    """Take an account out of the pool and forget its secrets; a bot that has it goes on.

    Raises:
        NotFound: unknown, another team's, or of the other mode (CV-11, CV-12).
    """
    found = parse_id("int", text)
    row = await session.get(Integration, found) if found is not None else None
    if row is None or (row.team_id, row.livemode) != (owner.team_id, owner.livemode):
        raise NotFound(
            f"There is no integration {text[:64]}. `GET /api/v1/integrations` lists them."
        )
    await session.delete(row)


async def lend(
    session: AsyncSession, box: SecretBox, job: Job, *, now: datetime
) -> StorageState | None:
    """An account for the bot of `job`; None: it goes as a guest.

    It goes as a guest when the team has no account at the provider, and when all are with other
    bots: to be late because somebody else is in a meeting would be worse. The same job gets the
    same account again.

    Raises:
        SignedOut: the team has accounts there, and all are revoked.
        Unavailable: the account does not open with our keys.
    """
    provider = PROVIDERS.get(job.driver)
    if provider is None:
        return None
    owned = await _pool(session, Owner(job.team_id, job.livemode))
    pool = [one for one in owned if one.provider is provider]
    active = [one for one in pool if one.problem_at(now) is None]
    if pool and not active:
        reasons = " ".join(f"{one.label!r}: {one.problem_at(now)}" for one in pool)
        again = CONNECT.format(provider=provider)
        raise SignedOut(
            f"No {provider} account is signed in any more. {reasons} Connect it again with "
            f"{again}, or delete it to join as a guest."
        )
    busy = await in_use(session, active) - {job.id}
    free = [one for one in active if one.lent_to not in busy]
    if active and not free:
        log.info("%s: all %s accounts are with other bots; it joins as a guest.", job.id, provider)
    free.sort(
        key=lambda one: (
            one.lent_to != job.id,
            # Being looked at just now (health.py): rather another one.
            one.held_until is not None and one.held_until > now,
            one.last_used_at or one.created_at,
        )
    )
    for one in free[:1]:
        one.lent_to, one.last_used_at = job.id, now
        return StorageState.model_validate_json(box.open(one.storage_state).get_secret_value())
    return None


async def in_use(session: AsyncSession, rows: Sequence[Integration]) -> set[str]:
    """The jobs that go on and have one of these accounts."""
    lent = [one.lent_to for one in rows if one.lent_to is not None]
    if not lent:
        return set()
    live = select(Job.id).where(col(Job.id).in_(lent), col(Job.status).not_in(TERMINAL))
    return set((await session.exec(live)).all())


async def revoke_lent(session: AsyncSession, job_id: str, problem: str) -> None:
    """The page that the bot of a job came to did not know its account any more."""
    await session.exec(
        update(Integration).where(col(Integration.lent_to) == job_id).values(problem=problem)
    )


def _check(state: StorageState, provider: Provider, now: datetime) -> None:
    problem = None
    end = state.expires_at(provider)
    if not state.of_account(provider):
        known = " or ".join(DOMAINS[provider])
        problem = f"There is no cookie of {known} in it; log in there and save the state again."
    elif end is not None and end <= now:
        problem = "All its cookies have run out; log in and save the state again."
    if problem is not None:
        raise BadInput(problem, [Issue(("storageState", "cookies"), "not_signed_in", problem)])


async def _pool(session: AsyncSession, owner: Owner) -> Sequence[Integration]:
    """As `integrations_of`, locked, so that each is lent once."""
    return (await session.exec(_of(owner).with_for_update())).all()


def _of(owner: Owner) -> SelectOfScalar[Integration]:
    return (
        select(Integration)
        .where(Integration.team_id == owner.team_id, Integration.livemode == owner.livemode)
        .order_by(col(Integration.id))
    )

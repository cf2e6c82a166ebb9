"""A team's webhook signing secret: shown again and again, and changed with a grace (WH-30, 31)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.secrets import SecretBox

# So long receivers may take to learn the new secret; meanwhile both sign.
GRACE: Final = timedelta(hours=24)


def new_webhook_secret() -> SecretStr:
    return SecretStr(f"whsec_{secrets.token_urlsafe(32)}")


async def rotate_webhook_secret(
    session: AsyncSession, box: SecretBox, team_id: str, *, now: datetime
) -> Team:
    """Give the team a new secret; the one it had signs beside it for `GRACE`.

    One that was in its own grace stops at once: a header never has more than two signatures.
    """
    team = await session.get_one(Team, team_id, with_for_update=True, populate_existing=True)
    team.previous_webhook_secret = team.webhook_secret
    team.previous_secret_until = now + GRACE
    team.webhook_secret = box.seal(new_webhook_secret())
    return team

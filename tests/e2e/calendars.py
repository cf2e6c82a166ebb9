"""A connected calendar of a team, with secrets that are recognised (CV-15)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from core.calendars.models import CalendarConnection, CalendarEvent, CalendarLogin, CalendarService
from core.calendars.rules import RuleAction, Why
from core.clock import SystemClock
from core.ids import new_id
from core.secrets import SecretBox
from tests.support.canaries import canary
from tests.support.stack import RunningStack


async def connect_calendar(product: RunningStack) -> dict[str, str]:
    """One that is not synced while the stack lives; its secrets by what they are."""
    secrets = {kind: canary(kind.replace(" ", "-")) for kind in ("calendar grant", "event", "PKCE")}
    box, now = SecretBox(product.settings.encryption_keys), SystemClock().now()
    owner: dict[str, Any] = {"team_id": product.team.id, "livemode": True}
    connection_id, later = new_id("cal"), now + timedelta(days=1)
    async with product.database.begin() as session:
        session.add(
            CalendarConnection(
                id=connection_id,
                **owner,
                provider=CalendarService.GOOGLE,
                calendar_id="primary",
                grant=box.seal(SecretStr(secrets["calendar grant"])),
                next_sync_at=later,
                created_at=now,
                updated_at=now,
            )
        )
        session.add(
            CalendarLogin(
                state_hash=new_id("cal"),
                connection_id=connection_id,
                **owner,
                provider=CalendarService.GOOGLE,
                calendar_id="primary",
                verifier=box.seal(SecretStr(secrets["PKCE"])),
                landing="/",
                expires_at=later,
            )
        )
        await session.flush()
        session.add(
            CalendarEvent(
                id=new_id("cev"),
                connection_id=connection_id,
                **owner,
                provider_id="one",
                facts=box.seal(SecretStr(secrets["event"])),
                starts_at=later,
                ends_at=later,
                action=RuleAction.SKIP,
                why=Why.NO_RULE,
                created_at=now,
                updated_at=now,
            )
        )
    return secrets

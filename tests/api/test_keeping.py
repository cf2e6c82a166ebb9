"""What has served its time is cleared away by every API process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlmodel import func, select

from core import idempotency, rate_limits
from core.accounts import cli_logins, magic_links
from core.accounts.login_models import CliLogin, MagicLink
from core.accounts.models import LoginSession
from core.idempotency import IdempotentRequest
from core.rate_limits import RateWindow
from tests.api.conftest import Api
from tests.api.credentials import log_in

pytestmark = pytest.mark.integration

KINDS = (LoginSession, MagicLink, CliLogin, RateWindow, IdempotentRequest)
GONE_SECONDS = 10
DAY = 86_400


async def counts(api: Api) -> list[int]:
    async with api.book.database.begin() as session:
        return [await _count(session, kind) for kind in KINDS]


async def _count(session: Any, kind: Any) -> int:
    number: int = (await session.exec(select(func.count()).select_from(kind))).one()
    return number


async def test_logins_links_counters_and_answers_go_when_their_time_is_over(api: Api) -> None:
    book = api.book
    await log_in(book, "ada@example.com")
    async with book.database.begin() as session:
        await magic_links.make_link(session, "ada@example.com", now=book.now)
        await cli_logins.begin(session, client_name=None, hostname=None, now=book.now)
        await rate_limits.take(session, "a", 10, now=book.now)
        await idempotency.claim(session, "s", "k", "f", now=book.now)
    assert await counts(api) == [1, 1, 1, 1, 1]

    book.clock.advance(2 * DAY)

    async with asyncio.timeout(GONE_SECONDS):
        while sum(await counts(api)):
            await asyncio.sleep(0.02)

"""Loading a meeting page: which trouble is which error (LC-09, FC-02, D19)."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from playwright.async_api import Error, Page

from bot.browser.guard import ANSWERED_BY_GUARD
from bot.platforms import opening
from core.errors import MeetbotError, MeetingNotFound, RoomUnreachable
from core.network.addresses import HostUnknown, ResolverFailed, resolve_url

pytestmark = pytest.mark.unit

URL = "https://meet.example/room?t=secret"


class ScriptedPage:
    """Answers a navigation as told, in place of a browser."""

    def __init__(self, answer: int | str, headers: dict[str, str] | None = None) -> None:
        self._answer = answer
        self._headers = headers or {}

    async def goto(self, url: str, **_: Any) -> Any:
        if isinstance(self._answer, str):
            raise Error(self._answer)
        return SimpleNamespace(status=self._answer, headers=self._headers)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A resolver that knows meet.example; a test may have it raise."""
    answer: dict[str, Any] = {"addresses": ["93.184.216.34"]}

    async def resolver(host: str, port: int) -> Sequence[str]:
        if "error" in answer:
            raise answer["error"]
        return list(answer["addresses"])

    async def resolve_scripted(url: str, trusted: Sequence[str], **_: Any) -> Any:
        return await resolve_url(url, trusted, resolver=resolver)

    monkeypatch.setattr(opening, "resolve_url", resolve_scripted)
    return answer


async def outcome(answer: int | str, url: str = URL, **headers: str) -> MeetbotError | None:
    page = cast(Page, ScriptedPage(answer, headers))
    try:
        await opening.open_page(page, url, trusted_origins=(), timeout_seconds=1)
    except MeetbotError as error:
        failed = error
    else:
        return None
    assert "secret" not in failed.message
    return failed


async def test_a_page_that_loads_is_open(names: dict[str, Any]) -> None:
    assert await outcome(200) is None


@pytest.mark.parametrize("status", [404, 410])
async def test_no_such_page_is_no_such_meeting(names: dict[str, Any], status: int) -> None:
    assert isinstance(await outcome(status), MeetingNotFound)


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503])
async def test_other_refusals_may_pass(names: dict[str, Any], status: int) -> None:
    error = await outcome(status)
    assert isinstance(error, RoomUnreachable)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("Page.goto: net::ERR_TUNNEL_CONNECTION_FAILED at x", "ERR_TUNNEL_CONNECTION_FAILED"),
        ("Page.goto: net::ERR_CERT_DATE_INVALID at x", "ERR_CERT_DATE_INVALID"),
        ("Page.goto: Timeout 1000ms exceeded.", "no answer in time"),
    ],
)
async def test_a_failed_navigation_names_its_reason(
    names: dict[str, Any], told: str, reason: str
) -> None:
    error = await outcome(told)
    assert isinstance(error, RoomUnreachable)
    assert reason in error.message


async def test_the_guards_own_answer_is_not_the_servers(names: dict[str, Any]) -> None:
    error = await outcome(403, **{ANSWERED_BY_GUARD: "unreachable"})
    assert isinstance(error, RoomUnreachable)
    assert "403" not in error.message


async def test_a_host_that_does_not_exist_is_no_meeting(names: dict[str, Any]) -> None:
    names["error"] = HostUnknown("The name meet.example does not exist.")
    assert isinstance(await outcome(200), MeetingNotFound)


async def test_a_resolver_that_fails_may_work_later(names: dict[str, Any]) -> None:
    names["error"] = ResolverFailed("The name was not resolved in time.")
    assert isinstance(await outcome(200), RoomUnreachable)


async def test_a_host_that_became_private_is_not_opened(names: dict[str, Any]) -> None:
    """A name may have been public when the job was made."""
    names["addresses"] = ["169.254.169.254"]
    assert isinstance(await outcome(200), MeetingNotFound)
    assert isinstance(await outcome(200, "http://meet.example/"), MeetingNotFound)

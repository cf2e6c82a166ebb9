"""No team reaches what is another's, on any route there is (CV-11, CV-12, AU-16)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from core.accounts.service import create_team
from core.jobs.bot_tokens import mint_bot_token
from tests.api.conftest import Api, client, key_of
from tests.api.credentials import log_in
from tests.api.route_examples import EXAMPLES, Example
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

PARAMETER = re.compile(r"\{(\w+)\}")
TENANTS = {"key", "session"}


def routes(api: Api) -> list[tuple[str, str, frozenset[str]]]:
    """Method, path and schemes of every documented route that speaks for a team."""
    found = []
    for path, operations in api.app.openapi()["paths"].items():
        for method, operation in operations.items():
            schemes = frozenset(name for one in operation.get("security", []) for name in one)
            if schemes & TENANTS:
                found.append((method.upper(), path, schemes))
    return found


async def strangers(api: Api) -> JobBook:
    """Another team, with all that the examples can make."""
    book = api.book
    async with book.database.begin() as session:
        other = await create_team(session, book.box, "Strangers", now=book.now)
    return JobBook(book.database, book.box, book.clock, other.id)


async def address_of(book: JobBook, path: str, example: Example) -> str:
    """`path` with resources that are made for it."""
    for name, make in example.owns.items():
        path = path.replace(f"{{{name}}}", await make(book))
    return path


async def ask(
    holder: httpx.AsyncClient, method: str, path: str, example: Example, **headers: str
) -> httpx.Response:
    body: dict[str, Any] = {} if example.body is None else {"json": dict(example.body)}
    return await holder.request(method, path, headers=headers, **body)


async def test_every_route_of_teams_has_an_example(api: Api) -> None:
    missing = [(method, path) for method, path, _ in routes(api) if (method, path) not in EXAMPLES]
    assert missing == [], "Declare these routes in tests/api/route_examples.py."
    gone = set(EXAMPLES) - {(method, path) for method, path, _ in routes(api)}
    assert gone == set()
    for (_, path), example in EXAMPLES.items():
        assert set(PARAMETER.findall(path)) == set(example.owns), path


async def test_what_is_anothers_is_not_there(api: Api) -> None:
    """CV-11: by key and by login, 404 and nothing else."""
    other = await strangers(api)
    person = await log_in(api.book, "ada@example.com")
    for method, path, schemes in routes(api):
        example = EXAMPLES[method, path]
        if not example.owns:
            continue
        address = await address_of(other, path, example)
        answers = []
        if "key" in schemes:
            answers.append(await ask(api.live, method, address, example))
        if "session" in schemes:
            answers.append(await ask(api.anonymous, method, address, example, **person.headers))
        for answer in answers:
            assert answer.status_code == 404, (method, path, answer.status_code, answer.text)
            assert answer.json()["code"] == "not_found"


async def test_what_is_of_the_other_mode_is_not_there(api: Api) -> None:
    """CV-12: examples make live resources."""
    for method, path, schemes in routes(api):
        example = EXAMPLES[method, path]
        if not example.owns or "key" not in schemes:
            continue
        address = await address_of(api.book, path, example)
        answer = await ask(api.test, method, address, example)
        assert answer.status_code == 404, (method, path, answer.status_code, answer.text)


async def test_lists_show_nothing_of_others(api: Api) -> None:
    other = await strangers(api)
    for example in EXAMPLES.values():
        for make in example.owns.values():
            await make(other)
    ids = {other.team_id}
    async with client(api.anonymous._transport, await key_of(other, livemode=True)) as theirs:  # type: ignore[arg-type]
        lists = [
            path
            for method, path, schemes in routes(api)
            if method == "GET" and "key" in schemes and not EXAMPLES[method, path].owns
            if not EXAMPLES[method, path].endless
        ]
        for path in lists:
            shown = (await theirs.get(path)).text
            ids |= set(re.findall(r"(?:job|key|int|dlv|use|cal|rule)_[0-9A-Z]{26}", shown))
        assert len(ids) > 2, "the other team has something to be seen"
        for path in lists:
            answer = await api.live.get(path)
            assert not [one for one in ids if one in answer.text], path


async def test_a_bot_of_one_team_is_refused_by_the_job_of_another(api: Api) -> None:
    """AU-16."""
    ours = await api.live_job()
    theirs = await (await strangers(api)).add()
    token = mint_bot_token(api.app.state.services.settings.encryption_keys, ours.id, ours.fence)
    message = {"jobId": theirs.id, "seq": 1, "at": "2026-05-09T14:00:00Z", "type": "heartbeat"}
    answer = await api.anonymous.post(
        "/api/v1/ingest",
        json=message | {"payload": {}},
        headers={"authorization": f"Bearer {token.get_secret_value()}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")

"""Every route takes the credentials that its document names, and no others (AU-07, AU-13)."""

from __future__ import annotations

from typing import Any

import pytest

from api.dependencies import AdminDep, CallerDep, IntakeDep, Member, MemberDep, SessionDep
from tests.api.conftest import Api
from tests.api.credentials import SCHEMES, ask, credential, log_in

pytestmark = pytest.mark.integration

# Bodies that get past validation, so that the answer is about the credential.
ULID = "01HXY1AB7M2QNTWA9YQRH5JEP6"


@pytest.fixture
def probes(api: Api) -> Api:
    """A route for every scheme, besides the real ones."""

    @api.app.post("/probe/key", tags=["account"])
    async def key(_: CallerDep) -> None: ...

    @api.app.post("/probe/session", tags=["account"])
    async def session(_: SessionDep) -> None: ...

    @api.app.post("/probe/member", tags=["account"])
    async def member(found: MemberDep) -> dict[str, Any]:
        return vars(found)

    @api.app.post("/probe/intake", tags=["account"])
    async def intake(_: IntakeDep) -> None: ...

    @api.app.post("/probe/admin", tags=["account"])
    async def admin(_: AdminDep) -> None: ...

    return api


def operations(api: Api) -> list[tuple[str, str, frozenset[str]]]:
    """Method, path and schemes of every documented operation that asks for a credential."""
    api.app.openapi_schema = None
    return [
        (method.upper(), path, frozenset(name for one in found["security"] for name in one))
        for path, by_method in api.app.openapi()["paths"].items()
        for method, found in by_method.items()
        if found.get("security")
    ]


@pytest.mark.parametrize("presented", SCHEMES)
async def test_a_credential_of_one_scheme_is_refused_by_the_others(
    probes: Api, presented: str
) -> None:
    """AU-07: over the real routes, too, whichever there are."""
    good = await credential(probes, presented)
    found = operations(probes)
    assert {scheme for _, _, schemes in found for scheme in schemes} >= set(SCHEMES) - {"stripe"}
    for method, path, schemes in found:
        if presented in schemes:
            continue
        answer = await ask(probes, method, path.replace("{id}", f"job_{ULID}"), good)
        expected = {400} if schemes == {"stripe"} else {401}
        # A body that is missing is seen before the credential only where it is malformed.
        assert answer.status_code in expected, (method, path, presented, answer.text)


@pytest.mark.parametrize("presented", ["key", "session", "intake", "admin"])
async def test_a_credential_is_taken_by_its_own_scheme(probes: Api, presented: str) -> None:
    good = await credential(probes, presented)
    answer = await ask(probes, "POST", f"/probe/{presented}", good)
    assert answer.status_code == 200, answer.text


async def test_a_member_is_known_by_key_or_by_login(probes: Api) -> None:
    by_key = (await probes.test.post("/probe/member")).json()
    assert by_key["team_id"] == probes.book.team_id
    assert (by_key["livemode"], by_key["user_id"]) == (False, None)

    person = await log_in(probes.book, "ada@example.com")
    by_login = await probes.anonymous.post("/probe/member", headers=person.headers)
    assert Member(**by_login.json()) == Member(person.team_id, True, user_id=person.user_id)
    test_data = await probes.anonymous.post("/probe/member?livemode=false", headers=person.headers)
    assert test_data.json()["livemode"] is False


async def test_a_bad_key_is_refused_even_with_a_good_login(probes: Api) -> None:
    person = await log_in(probes.book, "ada@example.com")
    headers = person.headers | {"authorization": "Bearer nonsense"}
    assert (await probes.anonymous.post("/probe/member", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"x-csrf-token": ""},
        {"x-csrf-token": 64 * "0"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
    ids=["missing", "wrong", "foreign-page", "sandboxed-page"],
)
async def test_what_changes_something_needs_proof_that_it_is_meant(
    probes: Api, changes: dict[str, str]
) -> None:
    """AU-13."""
    person = await log_in(probes.book, "ada@example.com")
    answer = await probes.anonymous.post("/probe/session", headers=person.headers | changes)
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


async def test_the_csrf_token_of_one_login_is_no_good_for_another(probes: Api) -> None:
    ada = await log_in(probes.book, "ada@example.com")
    bob = await log_in(probes.book, "bob@example.com")
    mixed = ada.headers | {"x-csrf-token": bob.headers["x-csrf-token"]}
    assert (await probes.anonymous.post("/probe/session", headers=mixed)).status_code == 403


async def test_a_login_ends_with_its_time(probes: Api) -> None:
    person = await log_in(probes.book, "ada@example.com")
    probes.book.clock.advance(86_400)
    answer = await probes.anonymous.post("/probe/session", headers=person.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_the_operators_routes_answer_nobody_while_there_is_no_secret(probes: Api) -> None:
    services = probes.app.state.services
    without = services.settings.model_copy(
        update={"api": services.settings.api.model_copy(update={"admin_token": None})}
    )
    object.__setattr__(services, "settings", without)
    for header in ("Bearer", "Bearer ", "Bearer None"):
        answer = await probes.anonymous.post("/probe/admin", headers={"authorization": header})
        assert answer.status_code == 401


async def test_health_and_jobs_say_where_they_are(api: Api) -> None:
    """RG-01."""
    assert (await api.anonymous.get("/healthz")).json()["region"] == "eu"
    assert (await api.create())["region"] == "eu"

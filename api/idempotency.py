"""`Idempotency-Key` on any POST that speaks for a team (API-63).

It stands around the routes, so that each of them has it. The answer is stored before it is sent:
whoever did not get it gets it again. Answers that refuse are not stored, because nothing was done.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Final

from fastapi import Request
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.dependencies import check_csrf, check_origin
from api.errors import answer_to
from api.schemes import SESSION_COOKIE
from api.services import Services
from core import idempotency
from core.accounts.service import authenticate
from core.accounts.sessions import find_login
from core.errors import (
    BadInput,
    Forbidden,
    InvalidState,
    Issue,
    MeetbotError,
    Unauthorized,
    Unavailable,
)

log = logging.getLogger(__name__)

HEADER: Final = "idempotency-key"
REPLAY_HEADER: Final = "x-meetbot-idempotent-replay"
SEED: Final = "meetbot.seed"
MOST_CHARACTERS: Final = 255
# Longer answers are sent, and not kept; none of our POSTs has one.
MOST_ANSWER_BYTES: Final = 1 << 20
# Larger bodies wait on the disk.
IN_MEMORY_BYTES: Final = 1 << 20
CHUNK_BYTES: Final = 1 << 16
# How long a second one waits for the first, and how often it looks.
WAIT_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.1
NOT_KEPT: Final = frozenset({b"set-cookie", b"x-request-id"})


def job_id_of(request: Request) -> str | None:
    """The id of the job that this request makes, however often it is tried; None without a key."""
    seed: str | None = request.scope.get(SEED)
    return f"job_{seed}" if seed is not None else None


@dataclass
class _Answer:
    """What the application sends, held until it is stored."""

    messages: list[Message] = field(default_factory=list)
    size: int = 0
    too_long: bool = False

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"]) if self.messages else 500

    def sealable(self) -> SecretStr:
        start = self.messages[0]
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in start["headers"]
            if name.lower() not in NOT_KEPT
        ]
        body = b"".join(message.get("body", b"") for message in self.messages[1:])
        document = {"status": start["status"], "headers": headers, "body": body.decode("latin-1")}
        return SecretStr(json.dumps(document))


class Idempotency:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or not scope["path"].startswith("/api/v1/")
        ):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        key = request.headers.get(HEADER)
        whose = await _whose(request) if key is not None else None
        if key is None or whose is None:
            # Who is not known is refused by the route, in its own words.
            await self._app(scope, receive, send)
            return
        try:
            _check(key)
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as body:
                fingerprint = await _read(request, body)
                body.seek(0)
                await self._once(scope, _again(body, receive), send, (whose, key, fingerprint))
        except MeetbotError as error:
            await answer_to(error)(scope, receive, send)

    async def _once(
        self, scope: Scope, receive: Receive, send: Send, of: tuple[str, str, str]
    ) -> None:
        services: Services = scope["app"].state.services
        whose, key, fingerprint = of
        found = await _claim(services, whose, key, fingerprint)
        if found.answer is not None:
            # The route, which counts requests, does not see this one.
            services.meter.count(f"requests:{whose.partition(':')[0]}")
            await _replay(services.box.open(found.answer), send)
            return
        scope[SEED] = found.seed
        answer = _Answer()

        async def hold(message: Message) -> None:
            answer.size += len(message.get("body", b""))
            answer.messages.append(message)
            if answer.size > MOST_ANSWER_BYTES:
                answer.too_long = True
                for held in answer.messages:
                    await send(held)
                answer.messages.clear()

        try:
            await self._app(scope, receive, hold)
        finally:
            # Also when the client went away, or the application failed.
            await asyncio.shield(_settle(services, whose, key, answer))
        for message in answer.messages:
            await send(message)


async def _claim(services: Services, whose: str, key: str, fingerprint: str) -> idempotency.Claim:
    """Ours to carry out, or the answer of whoever did; waits a moment for whoever is at it.

    Raises:
        IdempotencyMismatch: the key stands for another request.
        InvalidState: it is still being carried out.
    """
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
    while True:
        async with services.database.begin() as session:
            found = await idempotency.claim(
                session, whose, key, fingerprint, now=services.clock.now()
            )
        if found.ours or found.answer is not None:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise InvalidState(
                "The request with this Idempotency-Key is still being carried out. Send it again "
                "in a moment to get its answer."
            )
        await asyncio.sleep(LOOK_SECONDS)


async def _settle(services: Services, whose: str, key: str, answer: _Answer) -> None:
    """Keep what was done; let go of what was not."""
    try:
        async with services.database.begin() as session:
            if 200 <= answer.status < 300 and not answer.too_long:
                sealed = services.box.seal(answer.sealable())
                await idempotency.keep(session, whose, key, sealed)
            elif 400 <= answer.status < 500:
                await idempotency.drop(session, whose, key)
            else:
                await idempotency.give_back(session, whose, key, now=services.clock.now())
    except Unavailable as exc:
        # It was carried out and is answered; sent again within a day, it is carried out again.
        log.warning("an answer was not kept: %s", exc.message)


async def _replay(stored: SecretStr, send: Send) -> None:
    document = json.loads(stored.get_secret_value())
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in document["headers"]
    ]
    headers.append((REPLAY_HEADER.encode(), b"true"))
    await send({"type": "http.response.start", "status": document["status"], "headers": headers})
    await send({"type": "http.response.body", "body": document["body"].encode("latin-1")})


async def _whose(request: Request) -> str | None:
    """Which team's world the request is in; None when its credential is not good."""
    services: Services = request.app.state.services
    now = services.clock.now()
    with suppress(Unauthorized, Forbidden):
        async with services.database.begin() as session:
            if "authorization" in request.headers:
                bearer = request.headers["authorization"]
                caller = await authenticate(session, bearer, now=now)
                return f"{caller.team_id}:{'live' if caller.livemode else 'test'}"
            login = await find_login(session, request.cookies.get(SESSION_COOKIE), now=now)
        check_origin(request, services)
        check_csrf(login, request.headers.get("x-csrf-token"))
        return f"{login.team_id}:{login.user_id}"
    return None


def _check(key: str) -> None:
    if not 1 <= len(key) <= MOST_CHARACTERS or not key.isascii() or not key.isprintable():
        message = "An Idempotency-Key has 1 to 255 printable ASCII characters."
        raise BadInput(message, [Issue((HEADER,), "invalid_idempotency_key", message)])


async def _read(request: Request, body: IO[bytes]) -> str:
    """The whole body into `body`; what the request is recognised by."""
    digest = hashlib.sha256(f"{request.method}\n{request.url.path}\n{request.url.query}\n".encode())
    async for chunk in request.stream():
        digest.update(chunk)
        body.write(chunk)
    return digest.hexdigest()


def _again(body: IO[bytes], receive: Receive) -> Receive:
    """The body once more, and then whatever comes after it."""
    done = False

    async def replay() -> Message:
        nonlocal done
        if done:
            return await receive()
        chunk = body.read(CHUNK_BYTES)
        done = len(chunk) < CHUNK_BYTES
        return {"type": "http.request", "body": chunk, "more_body": not done}

    return replay

"""Realtime control of one job: verbs in, events out (API-17).

In: `{"verb": "pause-recording", ..., "requestId"?}`, the fields those of the verb's route.
Out: the answer to each verb, a VerbResult (a Screenshot for `screenshot`) or the error envelope,
with its `requestId`; and the job's events as `{"event", "id", "data"}`, those of the event stream.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.websockets import WebSocketState

from api.errors import INTERNAL_MESSAGE, answer_to, answer_to_invalid, envelope
from api.live_events import Cursor, live_events
from api.services import Services
from api.socket_verbs import do_verb
from core.accounts.service import authenticate
from core.clock import Clock
from core.errors import BadInput, MeetbotError, NotFound, RateLimited, Unauthorized, Unavailable
from core.jobs.models import Job
from core.jobs.rows import owned_job
from core.jobs.verbs import Verb

log = logging.getLogger(__name__)

router = APIRouter()

NO_KEY: Final = 4401
NO_JOB: Final = 4404
TRY_LATER: Final = 1013
TOO_BIG: Final = 1009
OVER: Final = 1000
MOST_CHARACTERS: Final = 1 << 20
# Verbs in a moving window; what is beyond is answered, not done.
MOST_VERBS: Final = 20
WINDOW_SECONDS: Final = 10.0
# Answers that are still being waited for, screenshots mostly.
MOST_OPEN: Final = 4
SEND_SECONDS: Final = 10.0
# How a client's going away shows, and one that does not read any more.
GONE: Final = (WebSocketDisconnect, TimeoutError)


@router.websocket("/api/v1/jobs/{id}/ws")
async def control(socket: WebSocket, job_id: Annotated[str, Path(alias="id")]) -> None:
    """Hold one conversation about one job."""
    services: Services = socket.app.state.services
    await socket.accept()
    try:
        job = await _job_of_caller(socket, services, job_id)
    except Unauthorized as error:
        await socket.close(NO_KEY, error.message)
        return
    except NotFound:
        await socket.close(NO_JOB, "There is no such job.")
        return
    except Unavailable:
        await socket.close(TRY_LATER, "Try again.")
        return
    await Conversation(socket, services, job).until_over()


async def _job_of_caller(socket: WebSocket, services: Services, job_id: str) -> Job:
    """Browsers cannot set headers on sockets, so the key may also come as `?token=`."""
    bearer = socket.headers.get("authorization")
    token = socket.query_params.get("token")
    if bearer is None and token is not None:
        bearer = f"Bearer {token}"
    async with services.database.begin() as session:
        caller = await authenticate(session, bearer, now=services.clock.now())
        return await owned_job(session, caller.team_id, caller.livemode, job_id)


class Pace:
    """Counts what came within the last seconds."""

    def __init__(self, clock: Clock, most: int, seconds: float) -> None:
        self._clock, self._most, self._seconds = clock, most, seconds
        self._times: deque[float] = deque()

    def check(self) -> None:
        """Raises RateLimited when there were too many."""
        now = self._clock.monotonic()
        while self._times and now - self._times[0] >= self._seconds:
            self._times.popleft()
        if len(self._times) >= self._most:
            wait = round(self._seconds - (now - self._times[0])) or 1
            raise RateLimited(
                f"At most {self._most} verbs within {self._seconds:g} s; wait {wait} s.", wait
            )
        self._times.append(now)


class Conversation:
    """One open socket. Ends with the job, with the client, or when either stops listening."""

    def __init__(self, socket: WebSocket, services: Services, job: Job) -> None:
        self._socket = socket
        self._services = services
        self._job = job
        self._pace = Pace(services.clock, MOST_VERBS, WINDOW_SECONDS)
        self._sending = asyncio.Lock()
        self._room = asyncio.Semaphore(MOST_OPEN)
        self._answers: set[asyncio.Task[None]] = set()

    async def until_over(self) -> None:
        hearing = asyncio.create_task(self._hear(), name="socket in")
        telling = asyncio.create_task(self._tell(), name="socket out")
        ends = {hearing, telling}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends | self._answers:
                task.cancel()
            results = await asyncio.gather(*ends, *self._answers, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, GONE):
                log.error("a socket of %s failed: %r", self._job.id, result)
                await self._close(TRY_LATER, "Something went wrong on our side; connect again.")

    async def _tell(self) -> None:
        seen = Cursor.parse(self._socket.query_params.get("lastEventId"))
        async for event in live_events(self._services, self._job.id, seen):
            if event is None:
                # Keeps proxies from closing a quiet connection, and finds a dead one.
                await self._send({"event": "ping", "id": None, "data": {}})
            else:
                await self._send({"event": event.name, "id": event.id, "data": event.data})
        await self._close(OVER, "Nothing more comes, unless the job goes on: then connect again.")

    async def _hear(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or (message.get("bytes") or b"").decode(errors="replace")
            if len(text) > MOST_CHARACTERS:
                await self._close(TOO_BIG, "A message has at most 1 MiB.")
                return
            await self._take(text)

    async def _take(self, text: str) -> None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or document.get("verb") != Verb.SCREENSHOT:
            # In order: who pauses and resumes means that order.
            await self._answer(document)
            return
        await self._room.acquire()
        task = asyncio.create_task(self._answer(document), name="socket answer")
        self._answers.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answers.discard(task)
        self._room.release()

    async def _answer(self, document: object) -> None:
        try:
            self._pace.check()
            answer = await do_verb(self._services, self._job, _object(document))
            content = answer.model_dump(mode="json", by_alias=True)
        except ValidationError as error:
            found = [{**entry, "loc": ("message", *entry["loc"])} for entry in error.errors()]
            content = _content(answer_to_invalid(found))
        except MeetbotError as error:
            content = _content(answer_to(error))
        except Exception:
            log.exception("a verb for %s failed", self._job.id)
            content = _content(envelope(500, INTERNAL_MESSAGE))
        if isinstance(document, dict) and isinstance(document.get("requestId"), str | int):
            content["requestId"] = document["requestId"]
        await self._send(content)

    async def _close(self, code: int, reason: str) -> None:
        async with self._sending, asyncio.timeout(SEND_SECONDS):
            if self._socket.application_state is WebSocketState.CONNECTED:
                await self._socket.close(code, reason)

    async def _send(self, content: dict[str, Any]) -> None:
        """A client that does not read for long is let go."""
        async with self._sending, asyncio.timeout(SEND_SECONDS):
            if self._socket.application_state is not WebSocketState.CONNECTED:
                return
            await self._socket.send_text(json.dumps(content, separators=(",", ":")))


def _object(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise BadInput("Send a JSON object with a field `verb`.")
    return document


def _content(answer: JSONResponse) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(bytes(answer.body))
    return content

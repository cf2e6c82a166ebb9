"""The control channel over HTTP (design.md D3): for bots in another network than the job store.

Everything goes through `POST /api/v1/ingest` with the bot's own token. Each message has a number,
and a message whose answer was lost goes again under the same one, so that it counts once.
Commands come with a long poll.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from bot.control import (
    Command,
    CompetingBotSeen,
    ConsentAnswered,
    Moved,
    Outcome,
    Progress,
    Report,
    Verb,
)
from core.clock import Clock, rfc3339
from core.errors import (
    BadInput,
    InvalidState,
    MeetbotError,
    NotFound,
    StaleAttempt,
    Unauthorized,
    Unavailable,
)

PATH: Final = "/api/v1/ingest"
ANSWER_SECONDS: Final = 10.0
# How long the API keeps a poll open when there is nothing to say; see `api/schemas/ingest.py`.
POLL_SECONDS: Final = 20.0
RECONNECT_SECONDS: Final = 1.0
# Sent again under the same number, at once and then a moment later.
TRIES: Final = 3
RETRY_SECONDS: Final = 0.3
# Codes of the error envelope that the caller can tell apart.
_ERRORS: Final[Mapping[str, type[MeetbotError]]] = {
    "stale_attempt": StaleAttempt,
    "invalid_state": InvalidState,
    "unauthorized": Unauthorized,
    "not_found": NotFound,
    "invalid_input": BadInput,
}


class HttpChannel:
    """One attempt's line to the API; open it for as long as the bot lives.

    Args:
        api_url: the API's origin, https unless it is the operator's own network.
        token: minted for this attempt (`core.jobs.bot_tokens`).
    """

    def __init__(self, api_url: str, token: SecretStr, job_id: str, clock: Clock) -> None:
        self._job_id = job_id
        self._clock = clock
        self._numbers = itertools.count(1)
        # Messages that were sent and not answered, by what they say: they keep their number.
        self._unanswered: dict[tuple[str, Any], int] = {}
        self._client = httpx.AsyncClient(
            base_url=api_url,
            headers={
                "authorization": f"Bearer {token.get_secret_value()}",
                "content-type": "application/json",
            },
            timeout=ANSWER_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def report(self, report: Report) -> None:
        type_, payload = _message(report)
        # A lost snapshot is not sent again.
        key = None if isinstance(report, Progress) else report
        await self._say(type_, payload, report.at, key=key)

    async def commands(self) -> AsyncIterator[Command]:
        known: list[str] = []
        given: set[str] = set()
        while True:
            try:
                answer = await self._post(
                    "heartbeat", {}, self._clock.now(), next(self._numbers), known=known
                )
            except Unavailable:
                # The API is away; the bot records on and asks again.
                await self._clock.sleep(RECONNECT_SECONDS)
                continue
            found = [_command(one) for one in answer["commands"]]
            known = [command.id for command in found]
            for command in found:
                if command.id not in given:
                    given.add(command.id)
                    yield command

    async def begin(self, command_id: str) -> bool:
        answer = await self._say(
            "begin", {"commandId": command_id}, self._clock.now(), key=command_id
        )
        return bool(answer["begun"])

    async def settle(
        self,
        command_id: str,
        outcome: Outcome,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        payload = {
            "commandId": command_id,
            "outcome": outcome.value,
            "detail": detail,
            "result": dict(result) if result is not None else None,
        }
        await self._say("settle", payload, self._clock.now(), key=command_id)

    async def renew(self) -> None:
        await self._say("heartbeat", {}, self._clock.now(), key=None)

    async def _say(
        self, type_: str, payload: Mapping[str, Any], at: datetime, *, key: Any
    ) -> dict[str, Any]:
        """Send until it is answered, a few times; who calls again after that keeps the number."""
        kept = (type_, key)
        number = self._unanswered.setdefault(kept, next(self._numbers))
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._post(type_, payload, at, number)
            except Unavailable:
                if attempt == TRIES:
                    raise
                if attempt > 1:
                    await self._clock.sleep(RETRY_SECONDS)
            except MeetbotError:
                self._unanswered.pop(kept, None)
                raise
            else:
                self._unanswered.pop(kept, None)
                return answer
        raise AssertionError("unreachable: the last try returns or raises")

    async def _post(
        self,
        type_: str,
        payload: Mapping[str, Any],
        at: datetime,
        number: int,
        *,
        known: list[str] | None = None,
    ) -> dict[str, Any]:
        """One request. With `known` it waits for commands beyond these.

        Raises:
            Unavailable: there was no answer, or one that may be better next time.
            MeetbotError: what the API refused it with.
        """
        body: dict[str, Any] = {
            "jobId": self._job_id,
            "seq": number,
            "at": rfc3339(at),
            "type": type_,
            "payload": dict(payload),
        }
        waits = 0.0
        if known is not None:
            waits = POLL_SECONDS
            body |= {"waitSeconds": waits, "knownCommands": known}
        # In ASCII, because names of the page may hold halves of characters.
        content = json.dumps(body).encode()
        try:
            async with asyncio.timeout(waits + ANSWER_SECONDS):
                response = await self._client.post(
                    PATH, content=content, timeout=httpx.Timeout(ANSWER_SECONDS, read=None)
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"The API did not answer: {type(error).__name__}.") from error
        return _answer(response)


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if response.status_code == httpx.codes.ACCEPTED and isinstance(content, dict):
        return content
    told = content if isinstance(content, dict) else {}
    message = str(told.get("message", f"The API answered {response.status_code}."))
    raise _ERRORS.get(str(told.get("code")), Unavailable)(message)


def _message(report: Report) -> tuple[str, dict[str, Any]]:
    match report:
        case Moved():
            return "status", {"event": report.event, "recordingState": report.recording_state}
        case Progress():
            return "roster", {
                "recordedSeconds": round(report.recorded_seconds, 1),
                "bytesJournalled": report.bytes_journalled,
                "participants": [
                    {
                        "participantId": person.participant_id,
                        "displayName": person.display_name,
                        "level": person.level,
                        "recordedSeconds": round(person.recorded_seconds, 1),
                    }
                    for person in report.participants
                ],
            }
        case ConsentAnswered():
            return "consent", {
                "granted": report.granted,
                "participantId": report.participant_id,
                "displayName": report.display_name,
            }
        case CompetingBotSeen():
            return "competing_bot", {
                "participantId": report.participant_id,
                "displayName": report.display_name,
                "botName": report.bot_name,
                "leaving": report.leaving,
            }


def _command(told: Mapping[str, Any]) -> Command:
    return Command(
        id=told["id"],
        verb=Verb(told["verb"]),
        payload=told["payload"],
        issued_at=datetime.fromisoformat(told["issuedAt"]),
    )

"""JSON over HTTP as the providers speak it: bounded, patient within reason, in our own errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from core.calendars.base import AccessRefused, CursorLost, Throttled
from core.clock import Clock
from core.errors import Unavailable

MOST_BYTES: Final = 16 << 20
# So long, and so often in one request, a sync waits itself; else the next one goes on.
LONGEST_WAIT_SECONDS: Final = 5
MOST_WAITS: Final = 2
DEFAULT_WAIT_SECONDS: Final = 60
LONGEST_PAUSE_SECONDS: Final = 6 * 3600
# What Google and Microsoft call it when they are asked too much, besides 429.
THROTTLED: Final = frozenset(
    {
        *("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"),
        *("ApplicationThrottled", "TooManyRequests", "ErrorServerBusy"),
    }
)
# And when they have forgotten where a sync ended.
LOST: Final = frozenset(
    {
        *("fullSyncRequired", "updatedMinTooLongAgo", "syncStateNotFound", "SyncStateNotFound"),
        *("SyncStateInvalid", "ErrorInvalidSyncStateData", "resyncRequired", "ResyncRequired"),
    }
)
Json = dict[str, Any]


class JsonClient:
    """One provider's API; open it for as long as it is used."""

    def __init__(self, who: str, *, timeout_seconds: float, clock: Clock) -> None:
        self._who = who
        self._timeout = timeout_seconds
        self._clock = clock
        # Made when it is needed: reading the certificates takes its time.
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        token: SecretStr,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Json:
        """The answer, an object; empty where there is none.

        Raises:
            AccessRefused, CursorLost, Throttled, Unavailable: as `CalendarProvider.changes`.
        """
        for _ in range(MOST_WAITS):
            try:
                return await self._once(method, url, token, params, headers, body)
            except Throttled as busy:
                if busy.retry_after_seconds > LONGEST_WAIT_SECONDS:
                    raise
                await self._clock.sleep(busy.retry_after_seconds)
        return await self._once(method, url, token, params, headers, body)

    async def _once(
        self,
        method: str,
        url: str,
        token: SecretStr,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Json | None,
    ) -> Json:
        client = self._opened()
        request = client.build_request(
            method,
            url,
            params=params,
            json=body,
            headers={"authorization": f"Bearer {token.get_secret_value()}", **(headers or {})},
        )
        try:
            response = await client.send(request, stream=True)
            try:
                content = await self._read(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(f"{self._who} did not answer: {type(error).__name__}.") from error
        answer = _object(content)
        if response.is_success:
            if answer is None:
                raise Unavailable(f"{self._who} answered with something that is no JSON object.")
            return answer
        raise self._failure(response, answer or {})

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self._timeout, follow_redirects=False, trust_env=False
            )
        return self._client

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise Unavailable(f"{self._who} answered with more than {MOST_BYTES >> 20} MiB.")
        return bytes(content)

    def _failure(self, response: httpx.Response, answer: Json) -> Exception:
        status, reasons = response.status_code, _reasons(answer)
        if status == httpx.codes.GONE or reasons & LOST:
            return CursorLost(f"{self._who} has forgotten where the last sync ended.")
        if status == httpx.codes.TOO_MANY_REQUESTS or reasons & THROTTLED:
            return Throttled(
                f"{self._who} is asked too often.", self._pause(response.headers.get("retry-after"))
            )
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}:
            said = ", ".join(sorted(reasons)) or response.reason_phrase
            return AccessRefused(
                f"{self._who} does not open this calendar any more ({status} {said}); "
                "connect it again."
            )
        return Unavailable(f"{self._who} answered with status {status}.")

    def _pause(self, told: str | None) -> int:
        """Seconds to wait, told as such or as a date."""
        seconds = float(DEFAULT_WAIT_SECONDS)
        with suppress(ValueError, TypeError):
            if told is not None and told.strip().isdigit():
                seconds = float(told)
            elif told is not None:
                seconds = (_utc(parsedate_to_datetime(told)) - self._clock.now()).total_seconds()
        return min(max(math.ceil(seconds), 1), LONGEST_PAUSE_SECONDS)


def objects(value: object) -> list[Json]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """A text that says something; None for everything else."""
    return value if isinstance(value, str) and value else None


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.astimezone()


def _object(content: bytes) -> Json | None:
    if not content:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _reasons(answer: Json) -> frozenset[str]:
    """What the error is called: Google lists `errors`, Microsoft nests `innerError`s."""
    error = answer.get("error")
    found: set[str] = set()
    if isinstance(error, dict):
        for one in objects(error.get("errors")):
            if (reason := text_of(one.get("reason"))) is not None:
                found.add(reason)
        inner: Any = error
        for _ in range(5):
            if isinstance(inner, dict):
                if isinstance(inner.get("code"), str):
                    found.add(inner["code"])
                inner = inner.get("innerError", inner.get("innererror"))
    return frozenset(found)

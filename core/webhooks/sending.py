"""One attempt at one webhook: connect to a checked address, post, look at the status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from core.clock import Clock
from core.errors import BadInput
from core.network.addresses import Resolve, resolve
from core.network.pinned import REDIRECTED, PinnedClient
from core.webhooks.messages import METHOD

GONE: Final = 410


@dataclass(frozen=True)
class Answer:
    """What came of an attempt: a status code, or an error in words."""

    status_code: int | None
    latency_ms: int
    error: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        return self.status_code == GONE


class Sender:
    """Posts bodies to customers' addresses; open it for as long as it is used.

    Args:
        timeout_seconds: for a whole attempt, from looking up the name to the status (WH-20).
        trusted_origins: the operator's exceptions to https and public addresses.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        trusted_origins: Sequence[str],
        clock: Clock,
        resolver: Resolve = resolve,
    ) -> None:
        self._timeout = timeout_seconds
        self._clock = clock
        self._client = PinnedClient(
            timeout_seconds=timeout_seconds, trusted_origins=trusted_origins, resolver=resolver
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once. Never raises for what a receiver or the network does."""
        began = self._clock.monotonic()
        status_code: int | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                async with self._client.sending(METHOD, url, headers, body) as response:
                    # The answer's body says nothing to us and could be endless.
                    status_code = response.status_code
        except TimeoutError:
            error = f"No answer within {self._timeout:g} s."
        except BadInput as exc:
            error = exc.message
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            error = f"{type(exc).__name__}: {exc}"[:500]
        latency_ms = round((self._clock.monotonic() - began) * 1000)
        if status_code is not None and 300 <= status_code < 400:
            error = REDIRECTED
        return Answer(status_code, latency_ms, error)

"""One attempt at one webhook: connect to a checked address, post, look at the status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

from core.clock import Clock
from core.errors import BadInput
from core.network.addresses import Resolve, Target, resolve, resolve_url

GONE: Final = 410
USER_AGENT: Final = "meetbot-webhooks/1"


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
        self._trusted = tuple(trusted_origins)
        self._clock = clock
        self._resolver = resolver
        self._client = httpx.AsyncClient(
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=False,
            # A connection is made to the address that was just checked, so none is kept.
            limits=httpx.Limits(max_keepalive_connections=0),
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

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once. Never raises for what a receiver or the network does."""
        began = self._clock.monotonic()
        status_code: int | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                target = await resolve_url(url, self._trusted, resolver=self._resolver)
                status_code = await self._post_to(target, url, body, headers)
        except TimeoutError:
            error = f"No answer within {self._timeout:g} s."
        except BadInput as exc:
            error = exc.message
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            error = f"{type(exc).__name__}: {exc}"[:500]
        latency_ms = round((self._clock.monotonic() - began) * 1000)
        if status_code is not None and 300 <= status_code < 400:
            error = "Redirects are not followed; give the final address."
        return Answer(status_code, latency_ms, error)

    async def _post_to(
        self, target: Target, url: str, body: bytes, headers: Mapping[str, str]
    ) -> int:
        """Try the checked addresses in turn; the name stays in TLS and in the Host header."""
        failure: httpx.ConnectError | None = None
        for address in target.addresses:
            request = self._client.build_request(
                "POST",
                _at_address(url, address, target.port),
                content=body,
                headers={
                    **headers,
                    "host": urlsplit(url).netloc,
                    "user-agent": USER_AGENT,
                    "connection": "close",
                },
                extensions={"sni_hostname": target.host},
            )
            try:
                response = await self._client.send(request, stream=True)
            except httpx.ConnectError as exc:
                failure = exc
                continue
            # The answer's body says nothing to us and could be endless.
            await response.aclose()
            return response.status_code
        raise failure or httpx.ConnectError("The name has no address.")


def _at_address(url: str, address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, f"{host}:{port}", parts.path or "/", parts.query, ""))

"""HTTP to addresses that were checked: the name stays in TLS and in the Host header (CV-16).

Names are not resolved again when connecting, redirects are not followed, and proxies of the
environment are not used: each of these could lead somewhere that was not checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

from core.network.addresses import Resolve, Target, resolve, resolve_url

REDIRECTED: Final = "Redirects are not followed; give the final address."


class PinnedClient:
    """Sends requests to customers' addresses; open it for as long as it is used.

    Args:
        timeout_seconds: for each step of a request; callers bound the whole of it.
        trusted_origins: the operator's exceptions to https and public addresses.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float | httpx.Timeout,
        trusted_origins: Sequence[str],
        resolver: Resolve = resolve,
    ) -> None:
        self._trusted = tuple(trusted_origins)
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

    @asynccontextmanager
    async def sending(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Send, and give the answer with its body still to be read.

        Raises:
            BadInput: the URL may not be connected to (`core.network.addresses.resolve_url`).
            httpx.HTTPError, httpx.InvalidURL: the network or the other side.
        """
        target = await resolve_url(url, self._trusted, resolver=self._resolver)
        response = await self._send(method, target, url, headers, content)
        try:
            yield response
        finally:
            await response.aclose()

    async def _send(
        self,
        method: str,
        target: Target,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> httpx.Response:
        """Try the checked addresses in turn."""
        failure: httpx.ConnectError | None = None
        for address in target.addresses:
            request = self._client.build_request(
                method,
                _at_address(url, address, target.port),
                content=content,
                headers={**headers, "host": urlsplit(url).netloc, "connection": "close"},
                extensions={"sni_hostname": target.host},
            )
            try:
                return await self._client.send(request, stream=True)
            except httpx.ConnectError as exc:
                failure = exc
        raise failure or httpx.ConnectError("The name has no address.")


def _at_address(url: str, address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, f"{host}:{port}", parts.path or "/", parts.query, ""))

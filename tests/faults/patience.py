"""HTTP as a client of a product that is being restarted does it: again, for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set
from typing import Final

import httpx

SECONDS: Final = 45.0
PAUSE_SECONDS: Final = 0.25
# What may be asked twice without being done twice.
REPEATABLE: Final = frozenset({"GET", "HEAD", "DELETE"})


class PatientTransport(httpx.AsyncHTTPTransport):
    """Asks again while nobody listens; and where it does no harm, after breaks and some answers.

    Args:
        away: answers of a server whose database is away.
    """

    def __init__(self, away: Set[int]) -> None:
        super().__init__()
        self._away = away

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + SECONDS
        while True:
            late = time.monotonic() > deadline
            try:
                response = await super().handle_async_request(request)
            except httpx.TransportError as error:
                unsent = isinstance(error, httpx.ConnectError)
                if late or not (unsent or request.method in REPEATABLE):
                    raise
            else:
                away = response.status_code in self._away
                if late or not away or request.method not in REPEATABLE:
                    return response
                await response.aclose()
            await asyncio.sleep(PAUSE_SECONDS)


def patient(client: httpx.AsyncClient, away: Set[int] = frozenset({503})) -> httpx.AsyncClient:
    """A client like `client`, with patience; the caller closes it."""
    return httpx.AsyncClient(
        base_url=client.base_url,
        headers=client.headers,
        auth=client.auth,
        timeout=client.timeout,
        transport=PatientTransport(away),
    )

"""Fetching a file from a URL that a customer gave, checked as webhook targets are (CV-16)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import httpx

from core.errors import BadInput, TooLarge
from core.network.addresses import Resolve, resolve
from core.network.pinned import REDIRECTED, PinnedClient

USER_AGENT: Final = "meetbot-fetch/1"
STEP_SECONDS: Final = 10.0


class Fetcher:
    """Open it for as long as it is used.

    Args:
        timeout_seconds: for a whole file, from looking up the name to its last byte.
        trusted_origins: the operator's exceptions to https and public addresses.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        trusted_origins: Sequence[str],
        resolver: Resolve = resolve,
    ) -> None:
        self._timeout = timeout_seconds
        self._client = PinnedClient(
            timeout_seconds=min(STEP_SECONDS, timeout_seconds),
            trusted_origins=trusted_origins,
            resolver=resolver,
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

    async def fetch(self, url: str, most_bytes: int) -> bytes:
        """The bytes at `url`.

        Raises:
            BadInput: the URL may not be connected to, or gave no file; the message says why.
            TooLarge: it has more than `most_bytes`.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._fetch(url, most_bytes)
        except TimeoutError:
            raise BadInput(f"The URL gave no whole file within {self._timeout:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise BadInput(f"The URL could not be fetched: {type(error).__name__}.") from error

    async def _fetch(self, url: str, most_bytes: int) -> bytes:
        # Compressed, a small answer could become a huge one.
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        async with self._client.sending("GET", url, headers) as response:
            if response.is_redirect:
                raise BadInput(REDIRECTED)
            if response.status_code != httpx.codes.OK:
                raise BadInput(f"The URL answered with status {response.status_code}.")
            fetched = bytearray()
            async for chunk in response.aiter_raw():
                fetched += chunk
                if len(fetched) > most_bytes:
                    raise TooLarge(f"The file at the URL is larger than {most_bytes >> 20} MiB.")
            return bytes(fetched)

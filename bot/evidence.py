"""What the page showed when the bot could not go on: kept for whoever has to find out why."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from playwright.async_api import Error, Page

log = logging.getLogger(__name__)

EVIDENCE_TIMEOUT_SECONDS: Final = 5.0
MAX_DOM_CHARS: Final = 2_000_000


async def save_evidence(page: Page, folder: Path, name: str) -> tuple[str, ...]:
    """Save screenshot, document and address (without query, it may hold a token) of `page`.

    Returns the names of the files in `folder`; those that could not be made are missing.
    """
    parts = urlsplit(page.url)
    address = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    document: str | None = None
    picture: bytes | None = None
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(EVIDENCE_TIMEOUT_SECONDS):
            document = await page.content()
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(EVIDENCE_TIMEOUT_SECONDS):
            picture = await page.screenshot()
    saved = await asyncio.to_thread(_write, folder, name, address, document, picture)
    log.warning("Evidence of the page was kept: %s", ", ".join(saved))
    return saved


def _write(
    folder: Path, name: str, address: str, document: str | None, picture: bytes | None
) -> tuple[str, ...]:
    contents = {
        "url.txt": f"{address}\n".encode(),
        "html": document[:MAX_DOM_CHARS].encode() if document is not None else None,
        "png": picture,
    }
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for ending, content in contents.items():
        if content is not None:
            (folder / f"{name}.{ending}").write_bytes(content)
            saved.append(f"{name}.{ending}")
    return tuple(saved)

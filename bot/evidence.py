"""What a page showed when it kept the bot out or threw it out, for whoever has to find out why.

It is written to the job's work folder, where the flow finds it and brings it to the job's storage.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from playwright.async_api import Error, Frame, Page

from bot.browser.launch import TAB_VIDEO_VIEWPORT
from bot.redacting import redacted_address, redacted_document, secrets_in
from core.recordings.evidence import EVIDENCE_DIR

log = logging.getLogger(__name__)

# For the documents, and once more for the picture.
TIMEOUT_SECONDS = 8.0
MAX_DOM_CHARS: Final = 2_000_000
MAX_PICTURE_BYTES: Final = 5_000_000
MOST_FRAMES: Final = 3
# So many screens of one attempt, at the door and in the room each; the first ones say most.
MOST_SCREENS: Final = 6
# Frames that say less are advertisements' and guards'.
SHORTEST_FRAME: Final = 500
FIELDS: Final = (
    "input:not([type='submit'], [type='button'], [type='checkbox'], [type='radio']), textarea"
)


def evidence_folder(work_dir: Path) -> Path:
    """Where the evidence of a job lies until it is in storage."""
    return work_dir / EVIDENCE_DIR


async def save_evidence(
    page: Page, folder: Path, name: str, secrets: Iterable[str] = ()
) -> tuple[str, ...]:
    """Save picture, documents and address of `page` as `<name>.…` in `folder`; takes seconds.

    Passwords, tokens and what was typed are left out (`bot.redacting`); `secrets` are some more.
    Returns the names of the files; what could not be made is missing.
    """
    files = {f"{name}.url.txt": f"{redacted_address(page.url)}\n".encode()}
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            hidden = {*secrets, *secrets_in(frame.url for frame in page.frames)}
            for ending, frame in _frames(page):
                document = await frame.content()
                if frame is page.main_frame or len(document) >= SHORTEST_FRAME:
                    text = await asyncio.to_thread(
                        redacted_document, document[:MAX_DOM_CHARS], hidden, MAX_DOM_CHARS
                    )
                    files[f"{name}.{ending}"] = text.encode(errors="replace")
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            picture = await _picture(page)
            if len(picture) <= MAX_PICTURE_BYTES:
                files[f"{name}.png"] = picture
    await asyncio.to_thread(_write, folder, files)
    log.warning("Evidence of the page was kept: %s", ", ".join(files))
    return tuple(files)


def _frames(page: Page) -> Iterator[tuple[str, Frame]]:
    yield "html", page.main_frame
    inner = [frame for frame in page.frames if frame.parent_frame is not None]
    for number, frame in enumerate(inner[:MOST_FRAMES], start=1):
        yield f"frame-{number}.html", frame


async def _picture(page: Page) -> bytes:
    """A PNG in a size that people can read, with what was typed covered."""
    width, height = TAB_VIDEO_VIEWPORT
    usual = page.viewport_size
    await page.set_viewport_size({"width": width, "height": height})
    try:
        covered = [frame.locator(FIELDS) for _, frame in _frames(page)]
        return await page.screenshot(mask=covered, timeout=TIMEOUT_SECONDS * 1000)
    finally:
        if usual is not None:
            await page.set_viewport_size(usual)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)

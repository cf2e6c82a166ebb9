"""`llms.txt` and `llms-full.txt`: the documentation for programs that read (DOC-02 to DOC-04)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ORIGIN: Final = "https://meetbot.dev"
SUMMARY: Final = (
    "Hand it a meeting link; a bot joins the call as an honest guest, records every speaker as a "
    "file of their own, puts everything with a manifest into your bucket, transcribes it, and "
    "tells you with signed webhooks. Each meeting is one Prefect flow run."
)
# Section, file below docs/, path on the web. The order is that of both documents.
PAGES: Final = (
    ("Overview", "running.md", "/docs"),
    ("API", "accounts.md", "/docs/accounts"),
    ("API", "live-control.md", "/docs/bot-features"),
    ("Overview", "calendars.md", "/docs/calendar"),
    ("Overview", "intake.md", "/docs/calendar/invites"),
    ("Overview", "billing.md", "/docs/basics/billing"),
    ("Overview", "storage.md", "/docs/storage"),
    ("API", "webhooks.md", "/docs/webhooks"),
    ("API", "recordings.md", "/docs/recordings"),
    ("Overview", "transcription.md", "/docs/transcription"),
    ("Platforms", "platforms/google-meet.md", "/docs/platforms/google-meet"),
    ("Platforms", "platforms/jitsi.md", "/docs/platforms/jitsi"),
    ("Platforms", "platforms/teams.md", "/docs/platforms/teams"),
    ("Platforms", "platforms/webex.md", "/docs/platforms/webex"),
    ("Platforms", "platforms/whereby.md", "/docs/platforms/whereby"),
    ("Platforms", "platforms/zoom.md", "/docs/platforms/zoom"),
    ("Operating", "scaling.md", "/docs/scaling"),
    ("Operating", "observability.md", "/docs/observability"),
)
# For those who change the product and not for those who use it.
INTERNAL: Final = frozenset(
    {"contributing.md", "design.md", "requirements.md", "platforms/adding-a-platform.md"}
)
ALSO: Final = (
    ("API", "OpenAPI 3.1", "/openapi.json", "Every operation, and the bodies of the webhooks."),
    ("API", "OpenAPI 3.0", "/openapi-3.0.json", "The same for tools that know no 3.1."),
    ("API", "Postman collection", "/meetbot.postman_collection.json", "Every operation, by tag."),
)
_HEADING: Final = re.compile(r"^(#+) ", re.MULTILINE)
_FENCE: Final = re.compile(r"^```", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page of the documentation; `description` is its first paragraph."""

    section: str
    title: str
    url: str
    description: str
    body: str


def pages(docs: Path) -> list[Page]:
    """The pages for users, in their order.

    Raises:
        ValueError: a file in `docs` is neither listed nor internal.
    """
    listed = {file for _, file, _ in PAGES}
    found = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    unknown = found - listed - INTERNAL
    if unknown:
        raise ValueError(f"add {sorted(unknown)} to PAGES or INTERNAL of {__name__}")
    return [_page(section, (docs / file).read_text(), url) for section, file, url in PAGES]


def _page(section: str, text: str, url: str) -> Page:
    title, _, body = text.partition("\n")
    prose = (part for part in body.split("\n\n") if part.strip() and part.strip()[0].isalpha())
    sentence = re.split(r"(?<=[.:]) ", " ".join(next(prose).split()))[0]
    return Page(section, title.removeprefix("# ").strip(), f"{ORIGIN}{url}", sentence, body.strip())


def llms(docs: Path) -> str:
    """The overview: every page and document, with what it is for."""
    entries: dict[str, list[str]] = {}
    for page in pages(docs):
        entries.setdefault(page.section, []).append(
            f"- [{page.title}]({page.url}): {page.description}"
        )
    for section, title, path, text in ALSO:
        entries.setdefault(section, []).append(f"- [{title}]({ORIGIN}{path}): {text}")
    parts = ["# meetbot", f"> {SUMMARY}"]
    for section, lines in entries.items():
        parts += [f"## {section}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def llms_full(docs: Path) -> str:
    """Everything, page after page; headings inside a page go down two levels."""
    parts = [
        f"## {page.title}\n\nSource: {page.url}\n\n> {page.description}\n\n{_demoted(page.body)}\n"
        for page in pages(docs)
    ]
    return f"# meetbot\n\n> {SUMMARY}\n\n" + "\n---\n\n".join(parts)


def _demoted(body: str) -> str:
    """Code may have lines that look like headings; those stay."""
    pieces = _FENCE.split(body)
    return "```".join(
        piece if number % 2 else _HEADING.sub(r"##\1 ", piece)
        for number, piece in enumerate(pieces)
    )

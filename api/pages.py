"""Plain pages: rendered here, no scripts, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES: Final = Path(__file__).parent / "templates"
STYLE: Final = (TEMPLATES / "style.css").read_text()
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    # Addresses of these pages carry nonces, so other sites are not told. Ours has to be: with
    # `no-referrer` browsers send forms as from the origin `null`.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
_templates: Final = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
)


def page(template: str, title: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page `template`, with everything in `values` escaped."""
    # Our own file, and the policy names its hash.
    style = Markup(STYLE)  # noqa: S704
    content = _templates.get_template(template).render(title=title, style=style, **values)
    return HTMLResponse(content, status, headers=HEADERS)


def message(title: str, text: str, *, status: int = 200) -> HTMLResponse:
    """A page that says one thing."""
    return page("message.html", title, status=status, text=text)

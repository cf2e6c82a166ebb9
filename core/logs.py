"""How our processes log: one line per event, to stderr."""

from __future__ import annotations

import logging
from typing import Final

# Their lines per request, candidate or plugin would drown our own.
CHATTY: Final = ("httpx", "aioice", "aiortc", "alembic", "uvicorn")


def configure_logging() -> None:
    """Set up logging; for entry points only."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)

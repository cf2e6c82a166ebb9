"""How our processes log: one line per event, to stderr, as text or as JSON.

What every line is about (the request, the job, the flow run) is said once, with `about`.
Credentials that slip into a line are blotted out; nobody writes them there all the same.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from core.settings import LogSettings

# Their lines per request, candidate or plugin would drown our own; `mail` is aiosmtpd's, a line for
# each command of each connection.
CHATTY: Final = ("httpx", "aioice", "aiortc", "alembic", "mail", "uvicorn")
TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s%(about)s"
# Keys, bot tokens, webhook secrets, Stripe's keys, bearers of any kind.
CREDENTIAL: Final = re.compile(
    r"\b(?:mb_(?:live|test|bot)_|whsec_|[sr]k_(?:live|test)_)[\w.-]+|(?<=Bearer )[^\s'\"]+"
)
HIDDEN: Final = "[hidden]"

_about: ContextVar[dict[str, str]] = ContextVar("about")


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Put `ids` on every line that is logged in the block, such as `job_id`."""
    token = _about.set(_about.get({}) | ids)
    try:
        yield
    finally:
        _about.reset(token)


def configure_logging(settings: LogSettings | None = None) -> None:
    """Set up logging; for entry points only."""
    told = settings or LogSettings()
    handler = logging.StreamHandler()
    handler.addFilter(_say_about)
    handler.setFormatter(formatter(told))
    logging.basicConfig(level=told.level, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def formatter(settings: LogSettings) -> logging.Formatter:
    """Lines as the settings want them."""
    return _JsonLines() if settings.format == "json" else _TextLines(TEXT)


def _say_about(record: logging.LogRecord) -> bool:
    record.ids = _about.get({})
    return True


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        ids = getattr(record, "ids", {})
        record.about = "".join(f" {name}={value}" for name, value in ids.items())
        return hidden(super().format(record))


class _JsonLines(JsonFormatter):
    """`timestamp`, `level`, `logger`, `message`, the ids, and `exc_info` where there is one."""

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp=True,
        )

    def format(self, record: logging.LogRecord) -> str:
        for name, value in record.__dict__.pop("ids", {}).items():
            setattr(record, name, value)
        return hidden(super().format(record))


def hidden(line: str) -> str:
    """`line` without credentials."""
    return CREDENTIAL.sub(HIDDEN, line)

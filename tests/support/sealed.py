"""Watches all tests: sealed secrets go into columns declared with `core.columns.sealed` only.

Otherwise `meetbot-server rotate-keys` would forget them (design.md D21).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session

from core.columns import SEALED

# How everything that Fernet makes begins.
MARK: Final = "gAAAAA"


def _check(session: Session, _context: Any, _instances: Any) -> None:
    for row in (*session.new, *session.dirty):
        for attribute in inspect(type(row)).column_attrs:
            value, column = getattr(row, attribute.key), attribute.columns[0]
            if isinstance(value, str) and value.startswith(MARK) and not column.info.get(SEALED):
                raise AssertionError(f"{column.table.name}.{column.name} holds a sealed secret")


def watch() -> None:
    event.listen(Session, "before_flush", _check)

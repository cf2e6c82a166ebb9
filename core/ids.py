"""Identifiers: a prefix that says what it is, and a ULID (CV-06, CV-08)."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Final, Literal

from ulid import ULID, ULIDGenerator

Team = Literal["team", "usr", "key", "int", "crd", "sto", "cal", "rule", "cev", "inv"]
Meeting = Literal["job", "cmd", "prt", "evt", "trn", "dlv", "rpl", "use"]
Kind = Team | Meeting

ULID_PATTERN: Final = "[0-9A-HJKMNP-TV-Z]{26}"
_ULID: Final = re.compile(ULID_PATTERN)


# One of its own: ids of a process that are made for the same moment are in order, too.
_dated: Final = ULIDGenerator()


def new_id(kind: Kind, at: datetime | None = None) -> str:
    """A fresh, time-ordered id such as `job_01HXY1AB7M2QNTWA9YQRH5JEP6`, of now or of `at`."""
    return f"{kind}_{ULID() if at is None else _dated.generate(at)}"


def first_id(kind: Kind, at: datetime) -> str:
    """The least id that can have been made in the millisecond of `at`, or after it."""
    milliseconds = max(0, int(at.timestamp() * 1000))
    return f"{kind}_{ULID.from_bytes(milliseconds.to_bytes(6) + bytes(10))}"


def moment_of(text: str) -> datetime:
    """When an id was made, to the millisecond."""
    return ULID.from_str(text.rpartition("_")[2]).datetime


def parse_id(kind: Kind, text: str) -> str | None:
    """The canonical id for any of its accepted spellings (CV-07), or None.

    Accepted are `job_<ULID>`, the bare ULID in either case and the same 128 bits as a UUID.
    """
    bare = text.removeprefix(f"{kind}_").upper()
    if _ULID.fullmatch(bare):
        return f"{kind}_{bare}"
    try:
        return f"{kind}_{ULID.from_uuid(uuid.UUID(text))}"
    except ValueError:
        return None

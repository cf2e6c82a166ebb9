"""Tokens of bots that reach the job store over HTTP (API-22, AU-16).

Nothing is stored: a token is an HMAC over job and attempt, made with a key that is derived from
the operator's encryption keys. It is dead when a newer attempt takes the job, and when the job is
over.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from core.errors import Unauthorized
from core.ids import ULID_PATTERN

_TOKEN: Final = re.compile(rf"mb_bot_({ULID_PATTERN})_([1-9][0-9]{{0,8}})_([0-9a-f]{{64}})")
_PURPOSE: Final = b"meetbot bot token 1"


@dataclass(frozen=True)
class BotIdentity:
    """Who presents a token: attempt `fence` at one job."""

    job_id: str
    fence: int


def mint_bot_token(keys: Sequence[SecretStr], job_id: str, fence: int) -> SecretStr:
    """The token of attempt `fence`, made with the newest of `keys`."""
    bare = job_id.removeprefix("job_")
    return SecretStr(f"mb_bot_{bare}_{fence}_{_mac(keys[0], job_id, fence)}")


def read_bot_token(keys: Sequence[SecretStr], bearer: str | None) -> BotIdentity:
    """Whose token `bearer`, the value of an `Authorization` header, is.

    Raises:
        Unauthorized: it is none of ours.
    """
    scheme, _, token = (bearer or "").partition(" ")
    match = _TOKEN.fullmatch(token.strip())
    if scheme.lower() == "bearer" and match is not None:
        job_id, fence = f"job_{match[1]}", int(match[2])
        if any(hmac.compare_digest(match[3], _mac(key, job_id, fence)) for key in keys):
            return BotIdentity(job_id, fence)
    raise Unauthorized("Send the bot's own token as `Authorization: Bearer mb_bot_…`.")


def _mac(key: SecretStr, job_id: str, fence: int) -> str:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    secret = derived.derive(key.get_secret_value().encode())
    return hmac.new(secret, f"{job_id}\n{fence}".encode(), "sha256").hexdigest()

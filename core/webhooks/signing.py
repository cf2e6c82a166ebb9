"""Signing and verifying webhook bodies (WH-04, WH-31 to WH-34)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr

PREFIX: Final = "sha256="
HEX_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


def signature(body: bytes, secrets: Sequence[SecretStr]) -> str:
    """The header's value: one entry per secret, in their order, separated by commas."""
    return ",".join(f"{PREFIX}{_digest(body, secret.get_secret_value())}" for secret in secrets)


def verify(body: bytes, header: str | None, secret: SecretStr) -> bool:
    """Whether any entry of `header` is the signature of `body`. Never raises (WH-33)."""
    expected = _digest(body, secret.get_secret_value())
    good = False
    for entry in (header or "").split(","):
        prefix, _, digits = entry.strip().partition("=")
        if prefix != PREFIX.rstrip("=") or not HEX_DIGEST.fullmatch(digits):
            continue
        good |= hmac.compare_digest(digits.lower(), expected)
    return good


def _digest(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

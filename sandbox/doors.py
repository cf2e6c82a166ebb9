"""What opens a room."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from pydantic import SecretStr


@dataclass(frozen=True)
class Doors:
    """The id of a room and the two tokens that open it."""

    room_id: str = field(default_factory=lambda: secrets.token_hex(5))
    guest: SecretStr = field(default_factory=lambda: SecretStr(secrets.token_urlsafe(16)))
    host: SecretStr = field(default_factory=lambda: SecretStr(secrets.token_urlsafe(16)))

    def is_guest(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.guest.get_secret_value().encode())

    def is_host(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.host.get_secret_value().encode())

    def opened_by(self, token: str) -> bool:
        return self.is_guest(token) or self.is_host(token)

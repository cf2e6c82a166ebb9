"""Secrets at rest: encrypted with the operator's keys before they reach a table (design.md D21)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from core.errors import BadInput, Unavailable


class SecretBox:
    """Encrypts with the first key, decrypts with any of them.

    Args:
        keys: Fernet keys, the newest first (`MEETBOT_ENCRYPTION_KEYS`, separated by commas).

    Raises:
        BadInput: no key, or one that is not a Fernet key.
    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        advice = (
            "Set MEETBOT_ENCRYPTION_KEYS to one or more keys made with "
            "`python -c 'from cryptography.fernet import Fernet as F; "
            "print(F.generate_key().decode())'`."
        )
        if not keys:
            raise BadInput(f"There is no encryption key. {advice}")
        try:
            fernets = [Fernet(key.get_secret_value()) for key in keys]
        except ValueError:
            raise BadInput(
                f"An encryption key is not 32 bytes in URL-safe base64. {advice}"
            ) from None
        self._newest, self._fernet = fernets[0], MultiFernet(fernets)

    def seal(self, secret: SecretStr) -> str:
        """The encrypted form, fit for a text column."""
        return self._fernet.encrypt(secret.get_secret_value().encode()).decode()

    def open(self, sealed: str) -> SecretStr:
        """What `seal` was given.

        Raises:
            Unavailable: none of the keys opens it.
        """
        try:
            return SecretStr(self._fernet.decrypt(sealed.encode()).decode())
        except InvalidToken:
            raise Unavailable(
                "A stored secret does not open with the configured keys. Add the key it was "
                "encrypted with to MEETBOT_ENCRYPTION_KEYS, after the newest one."
            ) from None

    def reseal(self, sealed: str) -> str | None:
        """The same secret, encrypted with the newest key; None when it is already.

        Raises:
            Unavailable: none of the keys opens it.
        """
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None


def generate_key() -> SecretStr:
    """A fresh key, for development set-ups."""
    return SecretStr(Fernet.generate_key().decode())

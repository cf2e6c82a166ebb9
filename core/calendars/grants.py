"""What opens a calendar, kept sealed: tokens of OAuth, or the address of a feed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, SecretStr

from core.secrets import SecretBox

SECRETS: Final = ("refresh_token", "access_token", "client_secret", "url")


class Grant(BaseModel):
    """Either tokens or `url`.

    `client_id` and `client_secret` are those that the grant was given to, where that was not us.
    """

    model_config = ConfigDict(frozen=True)

    refresh_token: SecretStr | None = None
    access_token: SecretStr | None = None
    expires_at: datetime | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    url: SecretStr | None = None

    def sealed(self, box: SecretBox) -> str:
        """All of it, as it is stored."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        for name in SECRETS:
            value: SecretStr | None = getattr(self, name)
            if value is not None:
                plain[name] = value.get_secret_value()
        return box.seal(SecretStr(json.dumps(plain)))

    @classmethod
    def opened(cls, box: SecretBox, sealed: str) -> Grant:
        """What `sealed` was made of.

        Raises:
            Unavailable: none of the keys opens it.
        """
        return cls.model_validate_json(box.open(sealed).get_secret_value())

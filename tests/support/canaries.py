"""Secrets that are recognised wherever they turn up (CV-15)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from core.settings import Settings

# What a stack makes or finds out by itself.
OWN: Final = frozenset({"database_url", "encryption_keys", "prefect.auth"})


def canary(kind: str) -> str:
    """A secret that is nowhere else, and says what it is."""
    return f"canary-{kind}-{secrets.token_hex(12)}"


def with_canaries(settings: Settings) -> Settings:
    """`settings` with every secret that is not set yet; whatever is declared later comes in too."""
    filled: Settings = _filled(settings, "")
    return filled


def settings_secrets(settings: Settings) -> dict[str, str]:
    """Every secret of `settings` by its path, such as `storage.link_secret`."""
    found = dict(_walk(settings, ""))
    auth = settings.prefect.auth
    if auth is not None:
        found["prefect.auth password"] = auth.get_secret_value().partition(":")[2]
    return found


def in_text(canaries: Mapping[str, str], content: bytes | str) -> set[str]:
    """Which of `canaries` show in `content`: plain, as in a URL, or as in a basic Authorization."""
    raw = content.encode(errors="replace") if isinstance(content, str) else content
    return {
        kind
        for kind, secret in canaries.items()
        if any(form in raw for form in _forms(secret.encode()))
    }


def _forms(secret: bytes) -> set[bytes]:
    return {secret, quote(secret, safe="").encode(), base64.b64encode(secret).rstrip(b"=")}


def _filled(model: Any, prefix: str) -> Any:
    changes: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        path, value = f"{prefix}{name}", getattr(model, name)
        if isinstance(value, BaseModel):
            changes[name] = _filled(value, f"{path}.")
        elif "SecretStr" in str(field.annotation) and not value and path not in OWN:
            made = SecretStr(canary(path))
            match value:
                case tuple():
                    changes[name] = (made,)
                case dict():
                    changes[name] = {"canary": made}
                case _:
                    changes[name] = made
    return model.model_copy(update=changes)


def _walk(model: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        match getattr(model, name):
            case SecretStr() as secret:
                yield f"{prefix}{name}", secret.get_secret_value()
            case tuple() as several:
                for number, one in enumerate(several):
                    if isinstance(one, SecretStr):
                        yield f"{prefix}{name} {number}", one.get_secret_value()
            case dict() as named:
                for key, one in named.items():
                    if isinstance(one, SecretStr):
                        yield f"{prefix}{name} {key}", one.get_secret_value()
            case BaseModel() as below:
                yield from _walk(below, f"{prefix}{name}.")

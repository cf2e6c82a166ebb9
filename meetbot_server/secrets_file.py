"""The secrets of a stack that runs on one machine: made once, kept beside its data."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, SecretStr

from core.settings import Settings


class StackSecrets(BaseModel):
    """What `meetbot-server up` generates when the operator has not set it."""

    prefect_auth: SecretStr
    encryption_key: SecretStr
    link_secret: SecretStr
    sandbox_admin_token: SecretStr
    api_admin_token: SecretStr
    intake_token: SecretStr


def load_or_make(data_dir: Path) -> StackSecrets:
    """Read `<data_dir>/secrets.json`, or make it (readable by its owner only).

    A file of an earlier version gets what it lacks; what is in it stays as it is.
    """
    path = data_dir / "secrets.json"
    there = json.loads(path.read_bytes()) if path.exists() else {}
    made = {
        "prefect_auth": f"admin:{secrets.token_urlsafe(18)}",
        "encryption_key": Fernet.generate_key().decode(),
        "link_secret": secrets.token_urlsafe(32),
        "sandbox_admin_token": secrets.token_urlsafe(32),
        "api_admin_token": secrets.token_urlsafe(32),
        "intake_token": secrets.token_urlsafe(32),
    }
    if not made.keys() <= there.keys():
        data_dir.mkdir(parents=True, exist_ok=True)
        _write(path, made | there)
        there = made | there
    return StackSecrets.model_validate(there)


def _write(path: Path, content: dict[str, str]) -> None:
    """Whole or not at all: these secrets are nowhere else."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def with_secrets(settings: Settings, made: StackSecrets) -> Settings:
    """`settings` with every secret that the operator left open filled in."""
    return settings.model_copy(
        update={
            "encryption_keys": settings.encryption_keys or (made.encryption_key,),
            "api": settings.api.model_copy(
                update={
                    "admin_token": settings.api.admin_token or made.api_admin_token,
                    "intake_tokens": settings.api.intake_tokens or (made.intake_token,),
                }
            ),
            "prefect": settings.prefect.model_copy(
                update={"auth": settings.prefect.auth or made.prefect_auth}
            ),
            "storage": settings.storage.model_copy(
                update={"link_secret": settings.storage.link_secret or made.link_secret}
            ),
            "sandbox": settings.sandbox.model_copy(
                update={"admin_token": settings.sandbox.admin_token or made.sandbox_admin_token}
            ),
        }
    )

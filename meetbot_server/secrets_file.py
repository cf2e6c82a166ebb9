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


def load_or_make(data_dir: Path) -> StackSecrets:
    """Read `<data_dir>/secrets.json`, or make it (readable by its owner only)."""
    path = data_dir / "secrets.json"
    if path.exists():
        return StackSecrets.model_validate_json(path.read_bytes())
    made = {
        "prefect_auth": f"admin:{secrets.token_urlsafe(18)}",
        "encryption_key": Fernet.generate_key().decode(),
        "link_secret": secrets.token_urlsafe(32),
        "sandbox_admin_token": secrets.token_urlsafe(32),
    }
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(made, file, indent=2)
    return StackSecrets.model_validate(made)


def with_secrets(settings: Settings, made: StackSecrets) -> Settings:
    """`settings` with every secret that the operator left open filled in."""
    return settings.model_copy(
        update={
            "encryption_keys": settings.encryption_keys or (made.encryption_key,),
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

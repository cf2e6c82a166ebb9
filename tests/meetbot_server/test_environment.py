"""Children of a stack read back exactly the settings that their parent had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.settings import IdentitySettings, PrefectSettings, Settings, StorageSettings
from meetbot_server.environment import (
    child_environment,
    prefect_environment,
    prefect_server_environment,
    settings_environment,
)
from meetbot_server.secrets_file import load_or_make, with_secrets

pytestmark = pytest.mark.unit


def test_settings_survive_the_way_through_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url=SecretStr("postgresql://u:p@h/d"),
        encryption_keys=(SecretStr("one"), SecretStr("two")),
        trusted_origins=("http://127.0.0.1:1", "https://a.example"),
        storage=StorageSettings(kind="s3", bucket="b", secret_access_key=SecretStr("s")),
        identities=IdentitySettings(other_urls={"us-east": SecretStr("postgresql://o:p@h/d")}),
    )

    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)

    assert Settings() == settings


def test_a_childs_environment_has_no_settings_but_those_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEETBOT_API__PORT", "1")
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere")

    environment = child_environment({"MEETBOT_DATA_DIR": "/data"})

    ours = {name for name in environment if name.startswith(("MEETBOT_", "PREFECT_"))}
    assert ours == {"MEETBOT_DATA_DIR"}
    assert "PATH" in environment


def test_prefect_never_runs_without_auth() -> None:
    with pytest.raises(ValueError, match="MEETBOT_PREFECT__AUTH"):
        prefect_environment(Settings(prefect=PrefectSettings(auth=None)))


def test_prefects_server_answers_its_own_origin_only() -> None:
    settings = Settings(prefect=PrefectSettings(auth=SecretStr("admin:x"), port=4201))

    environment = prefect_server_environment(settings, "postgresql+asyncpg://h/prefect")

    assert environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4201"
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == "admin:x"


def test_a_file_of_an_earlier_version_gets_what_it_lacks(tmp_path: Path) -> None:
    before = load_or_make(tmp_path)
    path = tmp_path / "secrets.json"
    older = json.loads(path.read_text())
    del older["api_admin_token"]
    path.write_text(json.dumps(older))

    after = load_or_make(tmp_path)

    assert after.encryption_key == before.encryption_key
    assert after.api_admin_token != before.api_admin_token
    assert load_or_make(tmp_path) == after


def test_generated_secrets_are_kept_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    made = load_or_make(tmp_path)

    assert load_or_make(tmp_path) == made
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_an_operators_own_secret_is_not_replaced(tmp_path: Path) -> None:
    mine = SecretStr("me:mine")
    settings = Settings(prefect=PrefectSettings(auth=mine))

    filled = with_secrets(settings, load_or_make(tmp_path))

    assert filled.prefect.auth == mine
    assert filled.encryption_keys
    assert filled.sandbox.admin_token is not None

"""Which documents there are, written and compared (DOC-09, DOC-21)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr

from api import errors
from api.app import create_app
from core.jobs.failures import FAILURES
from core.recordings.schema import schema_text
from core.secrets import generate_key
from core.settings import ApiSettings, Settings, StorageSettings
from meetbot_server.contracts import openapi30, postman, texts

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "contracts"
PUBLIC_URL: Final = "https://api.meetbot.dev"


def documents() -> dict[str, str]:
    """Texts by file name."""
    document = _openapi()
    docs = ROOT / "docs"
    return {
        "openapi.json": _json(document),
        "openapi.yaml": yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100),
        "openapi-3.0.json": _json(openapi30.to_3_0(document)),
        "meetbot.postman_collection.json": _json(postman.collection(document)),
        "manifest.schema.json": schema_text(),
        "failure-codes.json": _json(
            {
                "failureCodes": [one.document() for one in FAILURES],
                "errors": [asdict(one) for one in errors.answers()],
            }
        ),
        "llms.txt": texts.llms(docs),
        "llms-full.txt": texts.llms_full(docs),
    }


def write() -> None:
    """Bring `contracts/` up to date."""
    for name, text in documents().items():
        (FOLDER / name).write_text(text)


def stale() -> list[str]:
    """Files in `contracts/` that are not what the code says, or are nobody's."""
    wanted = documents()
    found = {path.name: path.read_text() for path in FOLDER.iterdir()}
    return sorted(name for name in wanted | found if wanted.get(name) != found.get(name))


def _openapi() -> dict[str, Any]:
    """Of an application that is never started."""
    app = create_app(
        Settings(
            database_url=SecretStr("postgresql://unused/unused"),
            encryption_keys=(generate_key(),),
            storage=StorageSettings(link_secret=SecretStr("unused")),
            api=ApiSettings(public_url=PUBLIC_URL),
        )
    )
    return app.openapi()


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

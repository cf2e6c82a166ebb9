"""The manifest's JSON schema, as `contracts/manifest.schema.json` publishes it.

Write it anew with `python -m core.recordings.schema contracts/manifest.schema.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from core.recordings.manifest import Manifest


def manifest_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a manifest as it is written."""
    schema = Manifest.model_json_schema(by_alias=True, mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "meetbot recording manifest",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def schema_text() -> str:
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text())

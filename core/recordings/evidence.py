"""Evidence of screens that kept a bot out: what lies below `recordings/<jobId>/evidence/`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

EVIDENCE_DIR: Final = "evidence"
# A meeting page wrote these documents: they are read, not opened as pages.
MIME_TYPES: Final = {".png": "image/png", ".html": "text/plain", ".txt": "text/plain"}


class EvidenceFile(BaseModel):
    """One object, as it was stored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )

    name: str
    uri: str
    mime_type: str
    bytes: int
    sha256: str


def evidence_key(job_id: str, name: str) -> str:
    """Where a file of evidence lies in the job's storage."""
    return f"recordings/{job_id}/{EVIDENCE_DIR}/{name}"


def as_column(files: Sequence[EvidenceFile]) -> list[dict[str, Any]] | None:
    """What the job's row says of its evidence; None when there is none."""
    return [file.model_dump(by_alias=True) for file in files] or None

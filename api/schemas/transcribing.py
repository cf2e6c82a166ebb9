"""Transcripts that are made later."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from api.schemas.create_job import Language
from api.schemas.wire import MomentOut, Request, Response
from core.transcripts.models import RequestStatus, TranscriptRequest
from core.transcripts.settings import Provider


class TranscribeIn(Request):
    """Who transcribes: our add-on, or your provider with the stored key."""

    mode: Literal["addon", "byok"] = "addon"
    provider: Provider | None = None
    language: Annotated[Language | None, Field(description="Recognised when left out.")] = None

    @model_validator(mode="after")
    def _provider_fits(self) -> Self:
        if self.mode != "byok" and self.provider is not None:
            raise ValueError("provider goes with mode byok only.")
        return self


class TranscribeOut(Response):
    """A transcript is on its way; `GET …/transcript` gives it when it is there."""

    id: str
    job_id: str
    status: RequestStatus
    mode: str
    provider: str | None
    language: str | None
    requested_at: MomentOut

    @classmethod
    def of(cls, row: TranscriptRequest) -> Self:
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})

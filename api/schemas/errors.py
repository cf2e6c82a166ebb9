"""The error envelope (CV-09, CV-10)."""

from __future__ import annotations

from pydantic import BaseModel


class IssueOut(BaseModel):
    """One thing wrong with the input."""

    path: list[str | int]
    code: str
    message: str


class ErrorOut(BaseModel):
    """Every answer that is not a success. `issues` is there when the input was not valid."""

    error: str
    code: str
    message: str
    issues: list[IssueOut] | None = None

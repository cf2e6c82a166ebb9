"""Accounts at meeting platforms that bots sign in with (API-46)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from api.schemas.wire import MomentOut, Printable, Request, Response
from core.integrations.models import Integration
from core.integrations.state import Provider, StorageState


class ConnectIn(Request):
    """The state of a browser that is signed in, as Playwright's `storage_state()` writes it.

    Nobody is shown it again. The same `label` again takes the place of the first.
    """

    label: Annotated[Printable, Field(min_length=1, max_length=64)]
    storage_state: StorageState


class IntegrationOut(Response):
    """`problem` says why it is `revoked`. `inUseBy` is the job whose bot has it.

    `checkedAt`: when its provider was asked last whether it is still signed in.
    """

    id: str
    provider: Provider
    label: str
    status: Literal["active", "revoked"]
    problem: str | None
    expires_at: MomentOut | None
    in_use_by: str | None
    last_used_at: MomentOut | None
    checked_at: MomentOut | None
    created_at: MomentOut

    @classmethod
    def of(cls, row: Integration, in_use_by: str | None, now: datetime) -> Self:
        problem = row.problem_at(now)
        return cls(
            id=row.id,
            provider=row.provider,
            label=row.label,
            status="active" if problem is None else "revoked",
            problem=problem,
            expires_at=row.expires_at,
            in_use_by=in_use_by,
            last_used_at=row.last_used_at,
            checked_at=row.checked_at,
            created_at=row.created_at,
        )


class IntegrationsOut(Response):
    data: list[IntegrationOut]

"""Fixtures of the domain's tests."""

from __future__ import annotations

import pytest

from core.database import Database
from core.secrets import SecretBox
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook


@pytest.fixture
async def book(database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
    return await JobBook.open(database, box, clock)

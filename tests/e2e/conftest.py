"""One running stack for all end-to-end tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
async def product() -> AsyncIterator[RunningStack]:
    async with running_stack() as running:
        yield running

"""Storage that is away for an hour and more, on an injected clock (D8, D9, MF-16)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.outage_site import Site, site
from tests.faults.outages import When, plan, play

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SEED = 1


@pytest.fixture
async def place() -> AsyncIterator[Site]:
    async with site() as opened:
        yield opened


async def test_an_hour_without_storage_loses_nothing_and_is_made_up_for(
    place: Site, tmp_path: Path
) -> None:
    """In the call, from the call until after it, and from its end: one round of each."""
    rounds = [plan(SEED, number) for number in range(len(When))]
    assert {outage.when for outage in rounds} == set(When)
    for outage in rounds:
        result = await play(place, outage, tmp_path / str(outage.number))
        assert not result.violations, f"{outage}: {result.violations}"

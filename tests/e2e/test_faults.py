"""A short run of `make faults`: two meetings at once, something going wrong in both (D10)."""

from __future__ import annotations

from typing import Final

import pytest

from tests.faults.__main__ import asked_patiently, play_all
from tests.faults.plan import DEADLY, plan
from tests.faults.report import replay
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.media, pytest.mark.timeout(400)]

# A browser killed while the bot speaks to the API over HTTP, its meeting ended meanwhile; and a
# meeting's process killed, the bot back in the call.
SEED: Final = 16
ROUNDS: Final = tuple(plan(SEED, number) for number in (2, 3))


async def test_meetings_with_faults_hold_what_is_promised(product: RunningStack) -> None:
    """Rejoin time, loss, one timeline, bill, webhooks, nothing left behind; see tests/faults."""
    assert any(round_.over_http for round_ in ROUNDS)
    assert any(round_.fault in DEADLY for round_ in ROUNDS)
    async with asked_patiently(product) as patient:
        results = await play_all(patient, ROUNDS, stretched=True)
    failed = [replay(result) for result in results if result.violations]
    assert not failed, "\n".join(failed)

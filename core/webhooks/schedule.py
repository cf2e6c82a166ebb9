"""When a webhook is tried again (design.md D14). Pure: the jitter is passed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Times the first delay: 10 s, 1 min, 6 min, 36 min, 3.6 h with the default of 10 s.
FACTORS: Final = (1, 6, 36, 216, 1296)
MAX_ATTEMPTS: Final = len(FACTORS) + 1
JITTER: Final = 0.2


def next_delay(
    attempts: int, first_retry_seconds: float, random: Callable[[], float]
) -> float | None:
    """Seconds to wait after the `attempts`-th failure; None when it was the last try.

    Args:
        random: uniform in [0, 1).
    """
    if not 1 <= attempts < MAX_ATTEMPTS:
        return None
    spread = 1 - JITTER + 2 * JITTER * random()
    return first_retry_seconds * FACTORS[attempts - 1] * spread

"""The queues of the work pool, by urgency (design.md D11)."""

from __future__ import annotations

from typing import Final

NOW: Final = "now"
SCHEDULED: Final = "scheduled"
HOUSEKEEPING: Final = "housekeeping"
# In the order in which workers take from them; 1 is first. A machine's own queue comes last.
QUEUE_PRIORITIES: Final = {NOW: 1, SCHEDULED: 2, HOUSEKEEPING: 3}


def machine_queue(machine: str) -> str:
    """The queue of work that only one machine can do."""
    return f"machine-{machine}"

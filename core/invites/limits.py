"""What an iCalendar text may ask of us. Within these bounds reading and expanding it is quick."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

MOST_BYTES: Final = 512 * 1024
MOST_LINES: Final = 20_000
MOST_EVENTS: Final = 200
MOST_ZONES: Final = 20
# Rules and changes of time in all zones together.
MOST_OBSERVANCES: Final = 120
# Of all events together.
MOST_RULES: Final = 20
# Values of RDATE and EXDATE.
MOST_DATES: Final = 1_000
MOST_COUNT: Final = 5_000
MOST_INTERVAL: Final = 400
MOST_BY_VALUES: Final = 100
DEEPEST: Final = 4
LONGEST_UID: Final = 1_000
# Series that began earlier are walked through day by day.
OLDEST: Final = timedelta(days=30 * 366)
# Occurrences of one event that are planned at once.
MOST_OCCURRENCES: Final = 500

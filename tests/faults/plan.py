"""What goes wrong in a round, when, and how its meeting ends: a function of seed and number."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# One round of so many has its bot speak to the API over HTTP, not to the database.
HTTP_ONE_OF: Final = 4
SHORTEST_SECONDS: Final = 4.0
LONGEST_SECONDS: Final = 9.0


class Fault(StrEnum):
    """What happens while the bot records."""

    BROWSER = "browser killed"
    PAGE = "page's renderer killed"
    FROZEN = "page's renderer stopped"
    MEETING = "meeting process killed"
    WORKER = "worker killed"
    MACHINE = "worker and meeting killed, disk lost"
    PREFECT = "Prefect server killed"
    API = "API killed"
    DATABASE = "database stopped for a while"
    DATABASE_KILLED = "database killed"
    STORAGE = "storage away for a while"
    RECEIVER = "receiver away for a while"


class End(StrEnum):
    """How the meeting is over for the bot."""

    LEAVE = "told to leave"
    HOST = "ended by the host"
    MEANWHILE = "ended by the host while the fault lasts"
    CANCEL = "cancelled"


# These take the bot out of the call.
DEADLY: Final = frozenset({Fault.BROWSER, Fault.PAGE, Fault.FROZEN, Fault.MEETING, Fault.MACHINE})


@dataclass(frozen=True)
class Round:
    """`before` and `after`: seconds recorded before the fault, and seconds of meeting after it."""

    seed: int
    number: int
    fault: Fault
    end: End
    before: float
    after: float
    over_http: bool = False

    def __str__(self) -> str:
        way = " (over HTTP)" if self.over_http else ""
        return f"round {self.number}{way}: {self.fault} after {self.before:.1f} s, then {self.end}"


def plan(seed: int, number: int) -> Round:
    """Every fault comes once in as many rounds as there are faults, in an order of the seed's."""
    faults = list(Fault)
    turn, place = divmod(number, len(faults))
    random.Random(f"{seed}/order/{turn}").shuffle(faults)  # noqa: S311 - not a secret
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 - not a secret
    return Round(
        seed=seed,
        number=number,
        fault=faults[place],
        end=dice.choice(list(End)),
        before=dice.uniform(SHORTEST_SECONDS, LONGEST_SECONDS),
        after=dice.uniform(SHORTEST_SECONDS, LONGEST_SECONDS),
        over_http=number % HTTP_ONE_OF == _http_place(seed, number),
    )


def _http_place(seed: int, number: int) -> int:
    """Which round goes over HTTP among the `HTTP_ONE_OF` to which `number` belongs."""
    dice = random.Random(f"{seed}/http/{number // HTTP_ONE_OF}")  # noqa: S311 - not a secret
    return dice.randrange(HTTP_ONE_OF)

"""What came out of the rounds of a seed: kept from run to run, and summed up by fault."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.faults.plan import End, Fault, Round
from tests.faults.rounds import Result

FOLDER: Final = Path(".meetbot")
Json = dict[str, Any]


@dataclass(frozen=True)
class Spread:
    """How some measured values lie."""

    count: int
    median: float
    p90: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float | None], digits: int) -> Spread | None:
        """None when nothing was measured. Each is a value that was measured (nearest rank)."""
        known = sorted(value for value in values if value is not None)
        if not known:
            return None
        ranks = (math.ceil(len(known) * share) - 1 for share in (0.5, 0.9, 1))
        return cls(len(known), *(round(known[rank], digits) for rank in ranks))

    def __str__(self) -> str:
        return f"{self.median:g} / {self.p90:g} / {self.most:g}"


class Log:
    """The results of one seed, a line each; of a round that was played again the last counts."""

    def __init__(self, seed: int, folder: Path = FOLDER) -> None:
        self.path = folder / f"faults-{seed}.jsonl"
        self._summary = folder / f"faults-{seed}.json"

    def add(self, result: Result) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as lines:
            lines.write(json.dumps(asdict(result)) + "\n")

    def read(self) -> list[Result]:
        """By number."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        newest = {result.round.number: result for result in map(_result, map(json.loads, lines))}
        return [newest[number] for number in sorted(newest)]

    def sum_up(self) -> Json:
        """The distribution by fault, over every round of the seed; written beside the log."""
        summary = summary_of(self.read())
        self._summary.write_text(json.dumps(summary, indent=2) + "\n")
        return summary


def summary_of(results: Sequence[Result]) -> Json:
    """Rounds, violations, and how rejoin time and lost media lie, by fault and in all."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[result.round.fault].append(result)
    return {
        "rounds": len(results),
        "overHttp": sum(result.round.over_http for result in results),
        "violations": sum(bool(result.violations) for result in results),
        "faults": {fault: _figures(those) for fault, those in sorted(groups.items())},
        "all": _figures(results),
    }


def _figures(results: Sequence[Result]) -> Json:
    back = Spread.of((result.back_seconds for result in results), 1)
    lost = Spread.of((result.lost_ms for result in results), 0)
    return {
        "rounds": len(results),
        "violations": sum(bool(result.violations) for result in results),
        "backSeconds": asdict(back) if back else None,
        "lostMs": asdict(lost) if lost else None,
    }


def show(summary: Json, console: Console) -> None:
    """The table of `summary_of`."""
    title = "Faults: median / 90th percentile / most"
    table = Table(title=title, title_justify="left")
    for heading in ("fault", "rounds", "violations", "back after, s", "lost, ms"):
        table.add_column(heading)
    for fault, figures in [*summary["faults"].items(), ("all", summary["all"])]:
        table.add_row(
            fault,
            str(figures["rounds"]),
            str(figures["violations"]),
            _text(figures["backSeconds"]),
            _text(figures["lostMs"]),
        )
    console.print(table)


def replay(result: Result) -> str:
    """What failed, and how to play it again."""
    again = f"make faults SEED={result.round.seed} FROM={result.round.number} ROUNDS=1"
    return f"{result.round} ({result.job_id}): {'; '.join(result.violations)}\n  {again}"


def _text(spread: Mapping[str, Any] | None) -> str:
    return str(Spread(**spread)) if spread else ""


def _result(told: Json) -> Result:
    plan = told.pop("round")
    plan |= {"fault": Fault(plan["fault"]), "end": End(plan["end"])}
    return Result(Round(**plan), **told)

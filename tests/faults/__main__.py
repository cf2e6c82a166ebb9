"""`make faults SEED=n ROUNDS=m FROM=k`: meetings with faults, two at once, and what did not hold.

Results are appended to `.meetbot/faults-<seed>.jsonl`; a run that was broken off goes on with FROM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.faults.patience import patient
from tests.faults.plan import plan
from tests.faults.rounds import Result, play
from tests.support.stack import running_stack

TOGETHER: Final = 2


async def run(seed: int, numbers: Sequence[int], console: Console) -> list[Result]:
    """Play these rounds, `TOGETHER` at a time, on one stack."""
    results: list[Result] = []
    turns = asyncio.Semaphore(TOGETHER)
    log = Path(".meetbot") / f"faults-{seed}.jsonl"
    log.parent.mkdir(exist_ok=True)
    async with (
        running_stack() as running,
        patient(running.api) as api,
        patient(running.prefect) as prefect,
    ):
        product = replace(running, api=api, prefect=prefect)

        async def one(number: int) -> None:
            async with turns:
                with tempfile.TemporaryDirectory() as folder:
                    result = await play(product, plan(seed, number), Path(folder))
            results.append(result)
            with log.open("a") as lines:
                lines.write(json.dumps(asdict(result)) + "\n")
            console.print(f"{result.round}: {'; '.join(result.violations) or 'holds'}")

        await asyncio.gather(*(one(number) for number in numbers))
    return results


def report(results: Sequence[Result], console: Console) -> int:
    """Print the table by fault and how to play what failed again; the exit code."""
    table = Table(title="Faults", title_justify="left")
    for title in ("fault", "rounds", "violations", "back after, s", "lost, ms"):
        table.add_column(title)
    by_fault: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_fault[result.round.fault].append(result)
    for fault, those in sorted(by_fault.items()):
        table.add_row(
            fault,
            str(len(those)),
            str(sum(bool(result.violations) for result in those)),
            _spread([r.back_seconds for r in those if r.back_seconds is not None], 1),
            _spread([r.lost_ms for r in those if r.lost_ms is not None], 0),
        )
    console.print(table)
    failed = [result for result in results if result.violations]
    for result in failed:
        again = f"make faults SEED={result.round.seed} FROM={result.round.number} ROUNDS=1"
        console.print(
            f"{result.round} ({result.job_id}): {'; '.join(result.violations)}\n  {again}"
        )
    return 1 if failed else 0


def _spread(values: Sequence[float], digits: int) -> str:
    """Median and most."""
    if not values:
        return ""
    return f"{statistics.median(values):.{digits}f}, at most {max(values):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--from", dest="first", type=int, default=0)
    given = parser.parse_args()
    console = Console(width=150, highlight=False)
    numbers = range(given.first, given.first + given.rounds)
    sys.exit(report(asyncio.run(run(given.seed, numbers, console)), console))


if __name__ == "__main__":
    main()

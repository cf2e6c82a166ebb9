"""`make faults SEED=n ROUNDS=m FROM=k`: meetings with faults, two at once, and what did not hold.

Results are appended to `.meetbot/faults-<seed>.jsonl`, a run that was broken off goes on with FROM;
the distribution over all rounds of the seed is in `.meetbot/faults-<seed>.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.faults import outages
from tests.faults.leftovers import left_of_all
from tests.faults.outage_site import site
from tests.faults.patience import patient
from tests.faults.plan import Round, plan
from tests.faults.report import Log, replay, show
from tests.faults.rounds import Result, play
from tests.support.stack import RunningStack, running_stack

TOGETHER: Final = 2
# An outage of an hour and more, on a clock of its own, goes with one round of so many.
OUTAGE_ONE_OF: Final = 4


@asynccontextmanager
async def asked_patiently(running: RunningStack) -> AsyncIterator[RunningStack]:
    """The product as its customer and operator reach it who ask again while it restarts."""
    async with (
        patient(running.api) as api,
        # Prefect has no better word for a database that is away.
        patient(running.prefect, frozenset({500, 503})) as prefect,
    ):
        yield replace(running, api=api, prefect=prefect)


async def play_all(
    product: RunningStack,
    rounds: Sequence[Round],
    done: Callable[[Result], None] = lambda _: None,
    *,
    stretched: bool = False,
) -> list[Result]:
    """Play these rounds, `TOGETHER` at a time; `done` is told of each as it ends."""
    turns = asyncio.Semaphore(TOGETHER)

    async def one(round_: Round) -> Result:
        async with turns:
            with tempfile.TemporaryDirectory() as folder:
                result = await play(product, round_, Path(folder), stretched=stretched)
        done(result)
        return result

    return await asyncio.gather(*(one(round_) for round_ in rounds))


async def run(seed: int, numbers: Sequence[int], console: Console) -> int:
    """Play, report and keep what came out; the exit code."""
    log = Log(seed)

    def done(result: Result) -> None:
        log.add(result)
        console.print(f"{result.round}: {'; '.join(result.violations) or 'holds'}")

    lost = await _play_outages(seed, numbers, console)
    async with running_stack() as running, asked_patiently(running) as product:
        results = await play_all(product, [plan(seed, number) for number in numbers], done)
        left = await left_of_all(product)
    show(log.sum_up(), console)
    failed = [result for result in results if result.violations]
    for result in failed:
        console.print(replay(result))
    for missed in lost:
        console.print(f"{missed.outage}: {'; '.join(missed.violations)}")
    if left:
        console.print(f"Left behind when every round was over: {'; '.join(left)}")
    return 1 if failed or lost or left else 0


async def _play_outages(
    seed: int, numbers: Sequence[int], console: Console
) -> list[outages.Outcome]:
    """The long ones, on a clock of their own, beside one of so many rounds; those that failed."""
    failed = []
    async with site() as place:
        for number in (number for number in numbers if number % OUTAGE_ONE_OF == 0):
            with tempfile.TemporaryDirectory() as folder:
                result = await outages.play(place, outages.plan(seed, number), Path(folder))
            told = "; ".join(result.violations)
            console.print(
                f"{result.outage}: {told or f'holds, made up for within {result.resumed_after} s'}"
            )
            if told:
                failed.append(result)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--from", dest="first", type=int, default=0)
    given = parser.parse_args()
    console = Console(width=150, highlight=False)
    numbers = range(given.first, given.first + given.rounds)
    sys.exit(asyncio.run(run(given.seed, numbers, console)))


if __name__ == "__main__":
    main()

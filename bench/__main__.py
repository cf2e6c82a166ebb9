"""`make bench`: measure everything, print one table, write `bench/results.json`.

`python -m bench cpu` measures one group only: cpu, loss, speech, service, burst, browsers, idle,
throughput (`scale` stands for the last four), http, million.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import attendance, http, loss, scale, service, speech
from bench.figures import Figure, show, write
from bench.rooms import running_sandbox
from core.settings import Settings
from meetbot_server.demo.run import demo_settings
from meetbot_server.secrets_file import load_or_make, with_secrets
from meetbot_server.stack import local

GROUPS: Final = ("cpu", "loss", "speech", "service", *scale.GROUPS, *http.GROUPS)
ALIASES: Final = {"scale": scale.GROUPS}
RESULTS: Final = Path(__file__).parent / "results.json"


async def run(groups: Sequence[str], console: Console) -> int:
    """Returns the exit code: 0 when every target was met."""
    # Short, because PostgreSQL's socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="mbbench-"))
    given = demo_settings(Settings(data_dir=folder))
    settings = local(with_secrets(given, load_or_make(given.data_dir)))
    figures: list[Figure] = []
    try:
        if {"cpu", "loss"} & set(groups):
            async with running_sandbox(settings) as sandbox:
                if "cpu" in groups:
                    figures += await attendance.measure(settings, sandbox, console.print)
                if "loss" in groups:
                    figures += await loss.measure(settings, sandbox, console.print)
        if "speech" in groups:
            console.print("transcription")
            figures += await asyncio.to_thread(speech.measure, folder)
        if "service" in groups:
            figures += await service.measure(given, console.print)
        if set(scale.GROUPS) & set(groups):
            figures += await scale.measure(given, groups, console.print)
        if set(http.GROUPS) & set(groups):
            figures += await http.measure(given, groups, console.print)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(figures, console)
    if set(groups) == set(GROUPS):
        write(figures, RESULTS)
        console.print(f"written to {RESULTS}")
    return 1 if any(figure.met is False for figure in figures) else 0


def main() -> None:
    named = sys.argv[1:] or list(GROUPS)
    groups = [group for name in named for group in ALIASES.get(name, (name,))]
    unknown = set(groups) - set(GROUPS)
    if unknown:
        raise SystemExit(f"There is no group {unknown}; choose from {', '.join(GROUPS)}.")
    raise SystemExit(asyncio.run(run(groups, Console(width=150, highlight=False))))


if __name__ == "__main__":
    main()

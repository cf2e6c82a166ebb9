"""`make bench`: measure everything, print one table, write `bench/results.json`.

`make bench GROUPS="verbs rejoin"` measures some groups only: cpu, loss, speech, service, intake,
platforms, verbs, rejoin, throughput, idle, burst, browsers, http, million. `live` stands for verbs
and rejoin, `scale` for the four after them.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import attendance, http, intake, loss, platforms, rejoin, scale, service, speech, verbs
from bench.figures import Figure, show, write
from bench.office import Office, open_office
from bench.rooms import running_sandbox
from core.settings import Settings
from meetbot_server.demo.run import demo_settings
from meetbot_server.secrets_file import load_or_make, with_secrets
from meetbot_server.stack import local

# Groups that share one running stack, in the order in which they are measured.
OFFICE: Final[dict[str, Callable[[Office], Awaitable[list[Figure]]]]] = {
    "verbs": verbs.measure,
    "rejoin": rejoin.measure,
    "throughput": scale.throughput,
    "idle": scale.idle,
    "burst": scale.burst,
    "browsers": scale.browsers,
}
GROUPS: Final = ("cpu", "loss", "speech", "service", "intake", "platforms", *OFFICE, *http.GROUPS)
ALIASES: Final = {
    "live": ("verbs", "rejoin"),
    "scale": ("throughput", "idle", "burst", "browsers"),
}
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
        for name, measure in _alone(folder, given, console.print).items():
            if name in groups:
                figures += await measure()
        if OFFICE.keys() & set(groups):
            figures += await _in_office(given, groups, console.print)
        if set(http.GROUPS) & set(groups):
            figures += await http.measure(given, groups, console.print)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(figures, console)
    if set(groups) == set(GROUPS):
        write(figures, RESULTS)
        console.print(f"written to {RESULTS}")
    return 1 if any(figure.met is False for figure in figures) else 0


def _alone(
    folder: Path, given: Settings, say: Callable[[str], None]
) -> dict[str, Callable[[], Awaitable[list[Figure]]]]:
    """Groups that need nothing beside themselves, in the order in which they are measured."""

    async def transcription() -> list[Figure]:
        say("transcription")
        return await asyncio.to_thread(speech.measure, folder)

    return {
        "speech": transcription,
        "service": lambda: service.measure(given, say),
        "intake": lambda: intake.measure(say),
        "platforms": lambda: platforms.measure(folder, say),
    }


async def _in_office(
    settings: Settings, groups: Sequence[str], say: Callable[[str], None]
) -> list[Figure]:
    figures: list[Figure] = []
    async with open_office(settings, say) as office:
        for name, step in OFFICE.items():
            if name not in groups:
                continue
            for figure in await step(office):
                base = "" if figure.ratio is None else f", {figure.ratio:.2f} of the baseline"
                note = f" ({figure.note})" if figure.note else ""
                say(f"  {figure.name}: {figure.value:.2f} {figure.unit}{base}{note}")
                figures.append(figure)
    return figures


def main() -> None:
    named = sys.argv[1:] or list(GROUPS)
    groups = [group for name in named for group in ALIASES.get(name, (name,))]
    unknown = set(groups) - set(GROUPS)
    if unknown:
        raise SystemExit(f"There is no group {unknown}; choose from {', '.join(GROUPS)}.")
    raise SystemExit(asyncio.run(run(groups, Console(width=150, highlight=False))))


if __name__ == "__main__":
    main()

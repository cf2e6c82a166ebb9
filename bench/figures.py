"""What the bench reports: figures with their baselines and targets, as a table and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured number. `ratio` is against the baseline; a target holds for `judged`."""

    name: str
    value: float | None
    unit: str
    samples: tuple[float, ...] = ()
    baseline: str | None = None
    baseline_value: float | None = None
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None
    note: str = ""


def at_most(
    name: str,
    samples: Sequence[float],
    unit: str,
    limit: float,
    *,
    baseline: str | None = None,
    baseline_samples: Sequence[float] = (),
    by_ratio: bool = False,
    note: str = "",
) -> Figure:
    """A figure whose value, or ratio with `by_ratio`, should be `limit` or less."""
    plain = against(name, samples, unit, baseline, baseline_samples, note=note)
    judged = plain.ratio if by_ratio else plain.value
    return Figure(
        **{
            **asdict(plain),
            "samples": plain.samples,
            "target": f"≤ {limit:g}" + ("" if by_ratio else f" {unit}"),
            "met": None if judged is None else judged <= limit,
        }
    )


def at_least(
    name: str,
    samples: Sequence[float],
    unit: str,
    limit: float,
    *,
    baseline: str,
    baseline_samples: Sequence[float],
    note: str = "",
) -> Figure:
    """A figure that should be at least `limit` times its baseline."""
    plain = against(name, samples, unit, baseline, baseline_samples, note=note)
    met = None if plain.ratio is None else plain.ratio >= limit
    return Figure(
        **{
            **asdict(plain),
            "samples": plain.samples,
            "target": f"≥ {limit:g} of the baseline",
            "met": met,
        }
    )


def against(
    name: str,
    samples: Sequence[float],
    unit: str,
    baseline: str | None = None,
    baseline_samples: Sequence[float] = (),
    *,
    note: str = "",
) -> Figure:
    """A figure beside its baseline, without a target."""
    value = median(samples) if samples else None
    base = median(baseline_samples) if baseline_samples else None
    ratio = value / base if value is not None and base else None
    return Figure(name, value, unit, tuple(samples), baseline, base, ratio, note=note)


def median(samples: Sequence[float]) -> float:
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def show(figures: Sequence[Figure], console: Console) -> None:
    """One table."""
    table = Table(title="What a bot costs", title_justify="left")
    for title in ("figure", "value", "samples", "baseline", "ratio", "target", ""):
        table.add_column(title, overflow="fold")
    for figure in figures:
        base = "" if figure.baseline is None else figure.baseline
        if figure.baseline_value is not None:
            base += f" {figure.baseline_value:.2f}"
        table.add_row(
            figure.name + (f" ({figure.note})" if figure.note else ""),
            "-" if figure.value is None else f"{figure.value:.2f} {figure.unit}",
            " ".join(f"{sample:.1f}" for sample in figure.samples),
            base,
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            figure.target or "",
            {True: "met", False: "MISSED", None: ""}[figure.met],
        )
    console.print(table)


def write(figures: Sequence[Figure], path: Path) -> None:
    """`results.json`: the figures and the machine they are of."""
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": psutil.cpu_count(),
            "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "figures": [asdict(figure) for figure in figures],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

"""CPU time and memory of a process with all its descendants."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """CPU seconds since each process began, and proportional memory in MiB."""

    cpu_seconds: dict[int, float]
    pss_mib: float

    def cpu_since(self, earlier: Usage) -> float:
        """CPU seconds between two readings; processes that began in between count in full."""
        return sum(
            seconds - earlier.cpu_seconds.get(pid, 0.0) for pid, seconds in self.cpu_seconds.items()
        )


def usage(pid: int) -> Usage:
    """Read the tree below `pid` once. PSS splits shared pages among those who share them."""
    cpu: dict[int, float] = {}
    pss = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            cpu[process.pid] = times.user + times.system
            memory = process.memory_full_info()
            pss += getattr(memory, "pss", memory.uss) / MIB
    return Usage(cpu, pss)

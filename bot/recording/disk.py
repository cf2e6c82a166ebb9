"""Room on the disk: a recording ends in good order before it is gone (MF-16)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import BotFault

MIB: Final = 1024 * 1024

Free = Callable[[Path], int]


class DiskLow(BotFault):
    """Hardly any space is left; what was recorded until now is complete and is delivered."""


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write to the disk of `folder`."""
    return shutil.disk_usage(folder).free


class DiskGuard:
    """Watches the disk of a work folder.

    Args:
        folder: need not exist yet; its nearest parent that does stands for its disk.
        min_free_mib: less than this is too little, for everybody who records here.
    """

    def __init__(self, folder: Path, min_free_mib: float, free: Free = free_bytes) -> None:
        self._folder = folder
        self._least = min_free_mib * MIB
        self._free = free

    def check(self, recorded_bytes: int) -> None:
        """See that there is room for more, and for the final files, which are written once again.

        Raises:
            DiskLow: there is not.
        """
        free = self._free(self._there())
        if free >= self._least + recorded_bytes:
            return
        raise DiskLow(
            f"Only {free // MIB} MiB are free on the disk of the data folder, so the recording "
            "ended here and what there is was delivered. Free some space, or set "
            "MEETBOT_BOT__MIN_FREE_MIB lower."
        )

    def _there(self) -> Path:
        folder = self._folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return folder

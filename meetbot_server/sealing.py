"""`meetbot-server rotate-keys`: after it the older encryption keys are not needed any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console

from core import sealing
from core.database import Database
from core.errors import BadInput
from core.sealing import Resealed
from core.secrets import SecretBox
from core.settings import Settings
from core.tables import metadata

# Enough to find the others by.
MOST_SHOWN: Final = 5


async def rotate(settings: Settings) -> Sequence[Resealed]:
    """Seal everything with the first of the keys.

    Raises:
        BadInput: a setting is missing.
        Unavailable: the database does not answer.
    """
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set; start the stack with `make up` first.")
    box = SecretBox(settings.encryption_keys)
    database = Database(settings.database_url)
    try:
        return await sealing.reseal(database, box, metadata)
    finally:
        await database.close()


def show(done: Sequence[Resealed], console: Console) -> bool:
    """Say what was done; whether the older keys may go."""
    lost = 0
    for one in done:
        console.print(f"{one.column:<40} {one.changed:>8} sealed anew {one.fresh:>8} were new")
        lost += len(one.unreadable)
        if one.unreadable:
            named = ", ".join(one.unreadable[:MOST_SHOWN])
            console.print(f"  {len(one.unreadable)} open with none of the keys: {named}")
    if lost:
        console.print("Keep all keys, add the one that is missing, and run this again.")
        return False
    console.print("Every secret is sealed with the first key; the others may be removed.")
    return True

"""`python -m flows`: the worker, what `meetbot-server worker` becomes.

A module of this name on purpose: a forked meeting imports its parent's main module again, unless
that is called `__main__`, and the operator's command takes a fraction of a second to import.
"""

from __future__ import annotations

import asyncio

from core.logs import configure_logging
from core.settings import Settings
from flows.worker_process import run

if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings.logs)
    asyncio.run(run(settings))

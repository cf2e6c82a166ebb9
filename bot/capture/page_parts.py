"""Which page scripts a job needs, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from core.jobs.spec import RecordingOptions

PAGE_DIR: Final = Path(__file__).parent / "page"
_ALWAYS: Final = (
    "frames.js",
    "worker.js",
    "tracks.js",
    "hooks.js",
    "watch.js",
    "liveness.js",
)


def page_parts(options: RecordingOptions) -> Sequence[Path]:
    """JavaScript files for the init script, in the order of their dependence."""
    names = (*_ALWAYS, "tab.js") if options.video == "tab" else (*_ALWAYS, "unpainted.js")
    return tuple(PAGE_DIR / name for name in names)


def page_config(options: RecordingOptions) -> dict[str, Any]:
    """`CONFIG.capture`.

    `takeVideo`: video frames leave the page. `canned`: frames handed to the decoder in place of
    received ones, by codec (design.md D6), null where people watch the tab. `silence`: received
    audio is not decoded either, because nobody listens to the tab.
    """
    watched = options.video == "tab"
    return {
        "capture": {
            "takeVideo": options.video in ("screenshare", "participants"),
            "canned": None if watched else _canned(),
            "silence": not watched,
        }
    }


@cache
def _canned() -> dict[str, Any]:
    data = json.loads((PAGE_DIR / "canned.json").read_text(encoding="utf-8"))
    return dict(data)

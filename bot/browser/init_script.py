"""Assembles the init script: one closure that runs in the meeting page before the page's own code.

Order inside the closure: values of this run, the frame check, `bridge.js`, then the parts that
capture and the platform driver name. Parts share the closure's scope and must not `return`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

PAGE_DIR: Final = Path(__file__).parent / "page"

_HEAD: Final = "(() => {\n'use strict';"
_ONLY_KNOWN_FRAMES: Final = "const send = takeBinding();\nif (!send || !isKnownFrame()) return;"
_TAIL: Final = "})();"


@dataclass(frozen=True)
class BridgeKeys:
    """Random per run: what page code would need to know to speak for us, or to us."""

    nonce: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    binding: str = field(default_factory=lambda: f"_{secrets.token_hex(8)}", repr=False)
    listener: str = field(default_factory=lambda: f"_{secrets.token_hex(8)}", repr=False)


def assemble_init_script(keys: BridgeKeys, parts: Sequence[Path], config: Mapping[str, Any]) -> str:
    """The JavaScript text for `Page.addScriptToEvaluateOnNewDocument`.

    `config` is JSON-able and becomes the deeply frozen `CONFIG`.
    """
    boot = {"nonce": keys.nonce, "binding": keys.binding, "listener": keys.listener}
    return "\n".join(
        (
            _HEAD,
            f"const BOOT = Object.freeze({json.dumps(boot)});",
            _source(PAGE_DIR / "config.js"),
            f"const CONFIG = deepFreeze({json.dumps(dict(config), allow_nan=False)});",
            _source(PAGE_DIR / "known_frame.js"),
            _ONLY_KNOWN_FRAMES,
            _source(PAGE_DIR / "bridge.js"),
            *(_source(part) for part in parts),
            _TAIL,
        )
    )


@cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")

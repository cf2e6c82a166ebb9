"""Server-sent events, as the OpenAPI document describes one of a stream's."""

from __future__ import annotations

from typing import Any, Final

EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "One event of the stream; `data` is JSON, `id` is for `Last-Event-ID`.",
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string"},
        "id": {"type": "string"},
    },
    "required": ["event", "data"],
}

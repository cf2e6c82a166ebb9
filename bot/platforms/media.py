"""What a bot is given to say or show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Media:
    """A sound, a picture or a video, as somebody uploaded it."""

    data: bytes
    mime_type: str

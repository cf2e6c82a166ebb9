"""Chat and captions in the forms that are delivered (MF-19, WebVTT)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.clock import rfc3339
from core.recordings.recording import Caption, ChatMessage

_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def write_texts(
    chat: Sequence[ChatMessage], captions: Sequence[Caption], folder: Path
) -> dict[str, Path]:
    """Write chat.jsonl, chat.json and captions.vtt, each only when there is something in it."""
    texts: dict[str, str] = {}
    if chat:
        records = [chat_record(message) for message in chat]
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        texts["chat.jsonl"] = "\n".join(lines) + "\n"
        texts["chat.json"] = json.dumps(records, ensure_ascii=False, indent=2) + "\n"
    if captions:
        texts["captions.vtt"] = webvtt(captions)
    paths = {}
    for name, text in texts.items():
        paths[name] = folder / name
        paths[name].write_text(text, encoding="utf-8")
    return paths


def chat_record(message: ChatMessage) -> dict[str, str | None]:
    return {
        "at": rfc3339(message.at),
        "participantId": message.participant_id,
        "displayName": message.display_name,
        "text": message.text,
    }


def webvtt(captions: Sequence[Caption]) -> str:
    """Valid WebVTT with a voice span per cue; cues in order of time, none of them empty."""
    cues = ["WEBVTT\n"]
    for number, caption in enumerate(sorted(captions, key=lambda c: (c.start_ms, c.end_ms)), 1):
        text = _one_block(caption.text)
        if not text:
            continue
        end_ms = max(caption.end_ms, caption.start_ms + 1)
        voice = _escape(re.sub(r"\s+", " ", caption.display_name).strip()) or "Unknown"
        times = f"{_timestamp(caption.start_ms)} --> {_timestamp(end_ms)}"
        cues.append(f"{number}\n{times}\n<v {voice}>{_escape(text)}</v>\n")
    return "\n".join(cues)


def _one_block(text: str) -> str:
    """A blank line would end the cue."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _escape(text: str) -> str:
    """Also takes `-->` apart, which may not occur in a cue."""
    return "".join(_ESCAPES.get(char, char) for char in text)


def _timestamp(ms: int) -> str:
    seconds, ms = divmod(max(0, ms), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{ms:03d}"

"""What came out of the demo's meeting, measured again from the files, and whether it is true."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from core.settings import Settings
from meetbot_server.demo.files import Probe, probe
from meetbot_server.demo.receiver import Received

SPEAKERS: Final = 3
# Per-speaker files of one recording have equal length (MF-12).
LENGTH_TOLERANCE_SECONDS: Final = 0.1
# Speech is far above this, silence and comfort noise far below.
SPEECH_DB: Final = -50.0
LOCAL_BUCKET: Final = "s3://local/"


@dataclass(frozen=True)
class Report:
    """The facts of one run: the last state of the job and what the receiver got."""

    settings: Settings
    job: dict[str, Any]
    received: Sequence[Received]
    flow_run_id: str | None
    joined_seconds: float
    finish_seconds: float

    def path(self, uri: str) -> Path:
        """The file behind an `s3://local/…` URI."""
        return self.folder / uri.removeprefix(LOCAL_BUCKET)

    @property
    def folder(self) -> Path:
        """Where local storage keeps its objects."""
        return self.settings.local_storage_root.absolute() / "objects"


def report(facts: Report, console: Console) -> bool:
    """Print everything; say whether all of it is as promised."""
    problems: list[str] = []
    if facts.job["status"] != "completed":
        problems.append(
            f"the job is {facts.job['status']}: {facts.job['failure_code']} "
            f"{facts.job['failure_detail']}"
        )
    if facts.job["manifestUri"]:
        manifest = json.loads(facts.path(facts.job["manifestUri"]).read_bytes())
        problems += _artifacts(facts, manifest, console)
        problems += _transcript(facts, manifest, console)
    else:
        problems.append("there is no manifest")
    problems += _deliveries(facts, console)
    _where(facts, console)
    for problem in problems:
        console.print(f"[red]not as promised:[/] {problem}")
    if not problems:
        console.print("[green]Everything above was checked and is true.[/]")
    return not problems


def _artifacts(facts: Report, manifest: dict[str, Any], console: Console) -> list[str]:
    table = Table(title="Artifacts", title_justify="left")
    for title in ("object", "bytes", "seconds", "loudness", "streams"):
        table.add_column(
            title, justify="right" if title in {"bytes", "seconds"} else "left", no_wrap=True
        )
    problems: list[str] = []
    speakers: list[Probe] = []
    for track in manifest["tracks"]:
        path = facts.path(track["uri"])
        seen = probe(path)
        if path.stat().st_size != track["bytes"]:
            problems.append(f"{path.name} has {path.stat().st_size} bytes, not {track['bytes']}")
        if track["kind"] == "per-speaker":
            speakers.append(seen)
        loudness = "silent" if seen.loudness_db is None else f"{seen.loudness_db:.0f} dB"
        table.add_row(
            *(path.name, f"{track['bytes']:,}", f"{seen.seconds:.2f}"),
            *(loudness, ", ".join(seen.streams)),
        )
    console.print(table)
    return problems + _speaker_problems(speakers, manifest)


def _speaker_problems(speakers: Sequence[Probe], manifest: dict[str, Any]) -> list[str]:
    problems: list[str] = []
    if len(speakers) != SPEAKERS:
        problems.append(f"{len(speakers)} speakers' files instead of {SPEAKERS}")
    lengths = [seen.seconds for seen in speakers]
    if lengths and max(lengths) - min(lengths) > LENGTH_TOLERANCE_SECONDS:
        problems.append(f"speakers' files differ in length: {lengths}")
    if any(seen.loudness_db is None or seen.loudness_db < SPEECH_DB for seen in speakers):
        problems.append("a speaker's file holds no speech")
    if manifest["artifacts"].get("tabVideo") is None:
        problems.append("there is no tab video")
    return problems


def _transcript(facts: Report, manifest: dict[str, Any], console: Console) -> list[str]:
    entry = manifest["artifacts"].get("transcript")
    if not entry:
        return ["there is no transcript"]
    transcript = json.loads(facts.path(entry["uri"]).read_bytes())
    table = Table(title="Transcript", title_justify="left", show_header=False, box=None)
    heard: set[str] = set()
    for segment in transcript["segments"]:
        heard.add(segment["participantId"])
        table.add_row(
            f"{segment['start']:6.2f}–{segment['end']:.2f}", segment["displayName"], segment["text"]
        )
    console.print(table)
    return (
        [] if len(heard) == SPEAKERS else [f"{len(heard)} of {SPEAKERS} speakers were understood"]
    )


def _deliveries(facts: Report, console: Console) -> list[str]:
    table = Table(title="Webhooks", title_justify="left", show_header=False, box=None)
    for received in facts.received:
        data = received.body["data"]
        table.add_row(
            received.event,
            str(data.get("status", "")),
            "[green]signature verified[/]" if received.verified else "[red]bad signature[/]",
            received.delivery_id,
        )
    console.print(table)
    problems = [f"{r.delivery_id} has a bad signature" for r in facts.received if not r.verified]
    finalized = [r for r in facts.received if r.event == "job.finalized"]
    if len({r.delivery_id for r in finalized}) != 1:
        problems.append(f"{len(finalized)} job.finalized webhooks instead of one")
    return problems


def _where(facts: Report, console: Console) -> None:
    settings, job, run = facts.settings, facts.job, facts.flow_run_id
    console.print(f"In the room {facts.joined_seconds:.1f} s after the request")
    console.print(f"Finished {facts.finish_seconds:.1f} s after it was told to leave")
    if run is not None:
        console.print(f"Prefect run  {settings.prefect.ui_url}/v2/runs/flow-run/{run}")
    console.print(f"API docs     {settings.api.public_url}/docs")
    console.print(f"Recording    {facts.folder / 'recordings' / job['id']}")

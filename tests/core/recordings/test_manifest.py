"""The manifest: both shapes, one truth (MF-01 to MF-18)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jobs.failures import ExitReason, FailureCode
from core.recordings.manifest import ManifestFacts, build_manifest, local_audio_name
from core.recordings.recording import (
    MediaFile,
    Participant,
    Recording,
    RosterEvent,
    Span,
    speaker_label,
)
from core.recordings.schema import manifest_schema, schema_text
from tests.support.clock import START

pytestmark = pytest.mark.unit

CONTRACT = Path(__file__).parents[3] / "contracts" / "manifest.schema.json"
PREFIX = "s3://bucket/team/recordings/job_1/"


def person(index: int, **changes: Any) -> Participant:
    values: dict[str, Any] = {
        "id": f"prt_{index}",
        "platform_id": f"page-{index}",
        "display_name": f"Person {index}",
        "speaker_label": speaker_label(index),
    }
    return Participant(**(values | changes))


def audio(index: int, number: int = 1) -> MediaFile:
    suffix = f"-{number}" if number > 1 else ""
    return MediaFile(
        track_id=f"prt_{index}{suffix}",
        kind="per-speaker",
        name=f"audio.prt_{index}{suffix}.ogg",
        path=Path("unused"),
        mime_type="audio/ogg",
        encoding="audio/ogg; codecs=opus",
        bytes=1000 + index,
        sha256="a" * 64,
        participant_id=f"prt_{index}",
        start_offset_ms=0,
        end_offset_ms=90_000,
        attribution="track-owner",
        isolation="track",
        confidence=1.0,
        gaps=(Span(1000, 2000, "network"),),
    )


def video(kind: str = "tab-video", name: str = "tab.webm") -> MediaFile:
    return MediaFile(
        track_id=name.removesuffix(".webm"),
        kind=kind,  # type: ignore[arg-type]
        name=name,
        path=Path("unused"),
        mime_type="video/webm",
        encoding="video/webm; codecs=vp9",
        bytes=5000,
        sha256="b" * 64,
        participant_id=None,
        start_offset_ms=0,
        end_offset_ms=90_000,
    )


def recording(**changes: Any) -> Recording:
    values: dict[str, Any] = {
        "job_id": "job_1",
        "started_at": START,
        "ended_at": START + timedelta(seconds=95),
        "recorded_seconds": 90,
        "exit_reason": ExitReason.CALL_ENDED,
        "participants": (person(0), person(1), person(2, is_bot=True)),
        "media": (audio(0), audio(1), video()),
        "roster": (RosterEvent("participant.join", "prt_0", "Person 0", START),),
        "gaps": (Span(1000, 6000, "rejoining"),),
        "texts": {"chat.json": Path("unused"), "chat.jsonl": Path("unused")},
    }
    return Recording(**(values | changes))


def written(made: Recording, **facts: Any) -> dict[str, Any]:
    whole = ManifestFacts(**({"external_id": "order-1", "platform": "meet"} | facts))
    content = build_manifest(made, whole, lambda name: PREFIX + name).to_json()
    manifest: dict[str, Any] = json.loads(content)
    jsonschema.validate(manifest, manifest_schema())
    return manifest


def test_the_top_level_has_exactly_the_promised_fields() -> None:
    """MF-01, D15, D18."""
    manifest = written(recording())
    assert (
        manifest
        | {
            "schemaVersion": 1,
            "revision": 1,
            "jobId": "job_1",
            "externalId": "order-1",
            "platform": "meet",
            "startedAt": "2026-05-09T14:00:00.000Z",
            "endedAt": "2026-05-09T14:01:35.000Z",
            "durationSeconds": 90,
            "recordedSeconds": 90,
            "exitReason": "call_ended",
            "partial": False,
            "failureCode": None,
            "transcript": "off",
            "transcriptFailure": None,
            "transcripts": [],
            "chatUri": PREFIX + "chat.jsonl",
            "pauses": [],
            "gaps": [{"startMs": 1000, "endMs": 6000, "reason": "rejoining"}],
            "evidence": [],
        }
        == manifest
    )
    lists = {"participants", "speakers", "artifacts", "tracks", "events"}
    assert lists < set(manifest)
    assert len(manifest) == 19 + len(lists)


def test_events_say_when_people_came_and_left_and_how_surely() -> None:
    """MF-09, D24."""
    left = RosterEvent("participant.leave", "prt_0", "Person 0", START, approx=True)
    events = written(recording(roster=(*recording().roster, left)))["events"]
    assert [set(one) for one in events] == [
        {"type", "participantId", "displayName", "at", "leaveApprox"}
    ] * 2
    assert [(one["type"], one["leaveApprox"]) for one in events] == [
        ("participant.join", False),
        ("participant.leave", True),
    ]


def test_people_appear_twice_in_one_order_and_the_bot_not_at_all() -> None:
    """MF-02, MF-03, CON-27."""
    manifest = written(recording())
    assert manifest["participants"] == [
        {"id": "prt_0", "displayName": "Person 0", "speakerLabel": "A"},
        {"id": "prt_1", "displayName": "Person 1", "speakerLabel": "B"},
    ]
    assert manifest["speakers"] == [
        {"id": "prt_0", "displayName": "Person 0"},
        {"id": "prt_1", "displayName": "Person 1"},
    ]


def test_the_28th_person_is_ab() -> None:
    """MF-02."""
    crowd = recording(participants=tuple(person(i) for i in range(28)))
    assert written(crowd)["participants"][-1]["speakerLabel"] == "AB"


def test_each_speaker_file_is_in_both_shapes() -> None:
    """MF-04, MF-07, MF-08, CON-26, CON-72, D24."""
    manifest = written(recording(media=(audio(0), audio(0, 2), audio(1), video())))
    spoken = [track for track in manifest["tracks"] if track["kind"] == "per-speaker"]
    listed = manifest["artifacts"]["perSpeakerAudio"]
    assert [track["uri"] for track in spoken] == [entry["uri"] for entry in listed]
    assert [track["trackId"] for track in spoken] == ["prt_0", "prt_0-2", "prt_1"]
    assert listed[0] == {
        "participantId": "prt_0",
        "uri": PREFIX + "audio.prt_0.ogg",
        "mimeType": "audio/ogg",
        "bytes": 1000,
    }
    assert spoken[0] == {
        "trackId": "prt_0",
        "kind": "per-speaker",
        "format": "opus",
        "speakerId": "prt_0",
        "uri": PREFIX + "audio.prt_0.ogg",
        "bytes": 1000,
        "sha256": "a" * 64,
        "encoding": {"mimeType": "audio/ogg; codecs=opus"},
        "startOffsetMs": 0,
        "endOffsetMs": 90_000,
        "attribution": "track-owner",
        "isolation": "track",
        "confidence": 1.0,
        "gaps": [{"startMs": 1000, "endMs": 2000, "reason": "network"}],
    }


def test_what_was_not_produced_is_absent_except_tab_video_which_is_null() -> None:
    """MF-05, MF-06, CON-69."""
    bare = written(recording(media=(audio(0),), texts={}))
    assert bare["artifacts"] == {
        "tabVideo": None,
        "perSpeakerAudio": [
            {
                "participantId": "prt_0",
                "uri": PREFIX + "audio.prt_0.ogg",
                "mimeType": "audio/ogg",
                "bytes": 1000,
            }
        ],
    }
    assert bare["chatUri"] is None


def test_a_shared_screen_that_webm_may_not_hold_says_what_it_is_in() -> None:
    """MF-06, MF-07: H264 as it was sent."""
    share = replace(
        video("screenshare", "screenshare.mkv"),
        mime_type="video/x-matroska",
        encoding="video/x-matroska",
    )
    manifest = written(recording(media=(share,)))
    assert manifest["artifacts"]["screenshare"]["mimeType"] == "video/x-matroska"
    (track,) = manifest["tracks"]
    assert (track["format"], track["encoding"]) == ("mkv", {"mimeType": "video/x-matroska"})


def test_what_was_produced_is_listed() -> None:
    """MF-06."""
    texts = {name: Path("unused") for name in ("captions.vtt", "chat.json", "chat.jsonl")}
    media = (audio(0), video(), video("screenshare", "screenshare.webm"))
    artifacts = written(recording(media=media, texts=texts), transcript="ready")["artifacts"]
    assert artifacts["tabVideo"] == {
        "uri": PREFIX + "tab.webm",
        "mimeType": "video/webm",
        "bytes": 5000,
    }
    assert artifacts["captions"] == {"uri": PREFIX + "captions.vtt", "mimeType": "text/vtt"}
    assert artifacts["chat"] == {"uri": PREFIX + "chat.json", "mimeType": "application/json"}
    assert artifacts["screenshare"]["uri"] == PREFIX + "screenshare.webm"
    assert artifacts["transcript"]["uri"] == PREFIX + "transcript.json"
    assert artifacts["transcript"]["vttUri"] == PREFIX + "transcript.vtt"


def test_a_pending_transcript_is_not_listed_and_a_later_revision_says_so() -> None:
    """D18."""
    pending = written(recording(), transcript="pending")
    later = written(recording(), transcript="ready", revision=2)
    assert "transcript" not in pending["artifacts"]
    assert (pending["transcript"], pending["revision"]) == ("pending", 1)
    assert (later["transcript"], later["revision"]) == ("ready", 2)


def test_a_partial_recording_says_why() -> None:
    """LC-17, FC-07."""
    kicked = recording(exit_reason=ExitReason.KICKED)
    manifest = written(kicked, failure_code=FailureCode.REMOVED_FROM_MEETING)
    assert (manifest["partial"], manifest["failureCode"]) == (True, "removed_from_meeting")


def test_a_job_that_recorded_nothing_still_has_a_manifest() -> None:
    """MF-17, MF-18."""
    nothing = recording(media=(), participants=(), roster=(), texts={}, recorded_seconds=0, gaps=())
    manifest = written(nothing)
    assert manifest["tracks"] == manifest["participants"] == []
    assert manifest["artifacts"] == {"tabVideo": None, "perSpeakerAudio": []}


def test_the_published_schema_is_that_of_the_code() -> None:
    assert CONTRACT.read_text() == schema_text(), (
        "write it anew: python -m core.recordings.schema contracts/manifest.schema.json"
    )


@pytest.mark.parametrize(
    ("label", "name", "number", "expected"),
    [
        ("A", "Alice Chen", 1, "A-Alice_Chen.ogg"),
        ("B", "Bob  \t Ray", 2, "B-Bob_Ray-2.ogg"),
        ("AA", "../../etc/passwd", 1, "AA-....etcpasswd.ogg"),
        ("A", "a\\b/c\x00d\x1b", 1, "A-abcd.ogg"),
        ("A", "Zoë 🎤", 1, "A-Zoë_🎤.ogg"),
        ("A", "", 1, "A-.ogg"),
    ],
)
def test_file_names_on_a_persons_disk(label: str, name: str, number: int, expected: str) -> None:
    """MF-15."""
    assert local_audio_name(label, name, number) == expected


@given(st.text(max_size=300))
def test_no_display_name_leaves_its_folder(name: str) -> None:
    made = local_audio_name("A", name)
    assert Path(made).name == made
    assert made.isprintable()
    assert len(made) < 120

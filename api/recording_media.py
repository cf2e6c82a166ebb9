"""A recording's manifest as it lies in storage, and links to all that it lists (API-19, API-73)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from api.schemas.jobs import EvidenceLink, JobEvidence
from api.schemas.recordings import MediaOut, RecordingDetail, fields_of
from core.clock import Clock
from core.errors import ObjectMissing, StorageError
from core.jobs.models import Job
from core.recordings.evidence import EvidenceFile, evidence_key
from core.recordings.manifest import MANIFEST_NAME, Manifest, Track, local_audio_name
from core.storage.base import Storage

LINK_SECONDS: Final = 900
# What a recording is called on a disk, besides its speakers (MF-23).
TAB_NAME: Final = "tab.webm"


def detail(job: Job, storage: Storage, clock: Clock) -> RecordingDetail:
    """Everything about a recording; blocks while it asks storage.

    Raises:
        StorageError: storage is away, or what lies there is not what we put there.
    """
    reader = _Reader(job, storage, clock)
    content = storage.get_bytes(reader.key(MANIFEST_NAME))
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as exc:
        raise StorageError(
            f"The manifest of {job.id} is not as it was written ({exc.error_count()} faults). "
            "Restore the object from your bucket's versions or backups."
        ) from exc
    shown: dict[str, Any] = json.loads(content)
    media = [*reader.tracks(manifest), *reader.texts(manifest)]
    return RecordingDetail.model_validate(fields_of(job) | {"manifest": shown, "media": media})


def evidence(job: Job, storage: Storage, clock: Clock) -> JobEvidence:
    """What the page of a job's meeting showed, with links."""
    expires = clock.now() + timedelta(seconds=LINK_SECONDS)
    files = [EvidenceFile.model_validate(file) for file in job.evidence or ()]
    return JobEvidence(
        data=[
            EvidenceLink(
                name=file.name,
                mime_type=file.mime_type,
                bytes=file.bytes,
                uri=file.uri,
                url=storage.link(evidence_key(job.id, file.name), LINK_SECONDS),
                url_expires_at=expires,
            )
            for file in files
        ]
    )


class _Reader:
    """Links go to objects below the job's own prefix only, whatever a manifest says."""

    def __init__(self, job: Job, storage: Storage, clock: Clock) -> None:
        self._prefix = f"recordings/{job.id}/"
        self._storage = storage
        self._expires = clock.now() + timedelta(seconds=LINK_SECONDS)

    def key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def tracks(self, manifest: Manifest) -> Iterator[MediaOut]:
        people = {one.id: one for one in manifest.participants}
        files: Counter[str] = Counter()
        for track in manifest.tracks:
            person = people.get(track.speaker_id or "")
            if track.kind == "per-speaker" and person is not None:
                files[person.id] += 1
                name = local_audio_name(person.speaker_label, person.display_name, files[person.id])
            elif track.kind == "tab-video" and not files[TAB_NAME]:
                files[TAB_NAME] += 1
                name = TAB_NAME
            else:
                name = track.uri.rpartition("/")[2]
            yield self._track(track, name)

    def texts(self, manifest: Manifest) -> Iterator[MediaOut]:
        found = manifest.artifacts
        listed = [("captions", found.captions), ("chat", found.chat)]
        texts = [(kind, text.uri, text.mime_type) for kind, text in listed if text is not None]
        if found.transcript is not None:
            texts += [
                ("transcript", found.transcript.uri, found.transcript.mime_type),
                ("transcript", found.transcript.vtt_uri, "text/vtt"),
            ]
        for kind, uri, mime_type in texts:
            key, name = self._key_of(uri), uri.rpartition("/")[2]
            try:
                size = self._storage.head(key).size
            except ObjectMissing:
                # Its owner may have removed it; the rest is still there.
                continue
            yield self._media(name, kind, None, name, mime_type, size, key)

    def _track(self, track: Track, name: str) -> MediaOut:
        return self._media(
            track.track_id,
            track.kind,
            track.speaker_id,
            name,
            track.encoding.mime_type.partition(";")[0],
            track.bytes,
            self._key_of(track.uri),
        )

    def _media(
        self,
        track_id: str,
        kind: str,
        participant_id: str | None,
        filename: str,
        mime_type: str,
        size: int,
        key: str,
    ) -> MediaOut:
        return MediaOut.model_validate(
            {
                "track_id": track_id,
                "kind": kind,
                "participant_id": participant_id,
                "filename": filename,
                "mime_type": mime_type,
                "bytes": size,
                "uri": self._storage.uri(key),
                "url": self._storage.link(key, LINK_SECONDS),
                "url_expires_at": self._expires,
            }
        )

    def _key_of(self, uri: str) -> str:
        key = self.key(uri.rpartition(f"/{self._prefix}")[2])
        if self._storage.uri(key) != uri:
            raise StorageError(
                f"The manifest names {uri[:200]}, which is not below {self._storage.uri(key)}."
            )
        return key

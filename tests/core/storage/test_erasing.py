"""Emptying a prefix for good (MF-22)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from core.errors import StorageError
from core.storage.s3 import S3Storage
from tests.core.storage.conftest import Backend
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.integration

PREFIX = "recordings/job_1/"


def test_all_below_a_prefix_goes_and_nothing_beside_it(backend: Backend) -> None:
    for key in (f"{PREFIX}manifest.json", f"{PREFIX}a/b", f"{PREFIX}c", "recordings/job_10/x"):
        backend.storage.put_bytes(key, b"x", "text/plain")
    assert backend.storage.erase(PREFIX, f"{PREFIX}manifest.json").objects == 3
    assert [one.key for one in backend.storage.list("recordings/")] == ["recordings/job_10/x"]
    assert backend.storage.erase(PREFIX, f"{PREFIX}manifest.json").objects == 0


def test_versions_and_unfinished_uploads_go_too(s3_server: S3Server) -> None:
    bucket = s3_server.bucket("versioned", prefix="acme")
    client: Any = s3_server._client()
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    storage = S3Storage(bucket)
    for content in (b"first", b"second"):
        storage.put_bytes(f"{PREFIX}manifest.json", content, "application/json")
    storage.put_bytes(f"{PREFIX}gone", b"x", "text/plain")
    storage.delete([f"{PREFIX}gone"])
    begun = {"Bucket": "versioned", "Key": f"acme/{PREFIX}big"}
    upload = client.create_multipart_upload(**begun)["UploadId"]
    client.upload_part(**begun, UploadId=upload, PartNumber=1, Body=b"y" * 10)
    gone = storage.erase(PREFIX, f"{PREFIX}manifest.json")
    # Two of the manifest, one that was deleted, and the marker of that.
    assert (gone.objects, gone.versions, gone.uploads) == (2, 4, 1)
    left = client.list_object_versions(Bucket="versioned")
    assert "Versions" not in left
    assert "DeleteMarkers" not in left
    assert client.list_multipart_uploads(Bucket="versioned").get("Uploads", []) == []


def test_a_bucket_that_lets_nobody_delete_says_so(s3_server: S3Server) -> None:
    bucket = s3_server.bucket("forbidding")
    storage = S3Storage(bucket)
    storage.put_bytes(f"{PREFIX}x", b"x", "text/plain")
    client: Any = storage._client
    deleted = client.delete_objects

    def refuse(**_: Any) -> dict[str, Any]:
        return {"Errors": [{"Key": f"{PREFIX}x", "Code": "AccessDenied"}]}

    client.delete_objects = refuse
    with pytest.raises(StorageError, match="s3:DeleteObjectVersion"):
        storage.erase(PREFIX, f"{PREFIX}manifest.json")
    client.delete_objects = lambda **_: {}
    with pytest.raises(StorageError, match="still there"):
        storage.erase(PREFIX, f"{PREFIX}manifest.json")
    client.delete_objects = deleted
    assert storage.erase(PREFIX, f"{PREFIX}manifest.json").objects == 1


def test_without_a_look_at_versions_the_objects_go_all_the_same(s3_server: S3Server) -> None:
    """Stores without versions answer 501, and policies may forbid the look."""
    storage = S3Storage(s3_server.bucket("plain"))
    storage.put_bytes(f"{PREFIX}x", b"x", "text/plain")
    client: Any = storage._client
    paginator = client.get_paginator

    def without(name: str) -> Any:
        if name != "list_objects_v2":
            raise ClientError({"Error": {"Code": "NotImplemented"}}, name)
        return paginator(name)

    client.get_paginator = without
    gone = storage.erase(PREFIX, f"{PREFIX}manifest.json")
    assert (gone.objects, gone.versions, gone.uploads) == (1, None, None)
    assert list(storage.list(PREFIX)) == []

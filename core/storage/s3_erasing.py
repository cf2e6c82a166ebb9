"""Taking everything below a prefix out of a bucket: versions and unfinished uploads, too.

In a versioned bucket deleting hides an object behind a marker and keeps its content; parts of an
upload that was never completed are in no list of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from core.errors import StorageError, StorageRefused
from core.storage.base import Erased

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BATCH: Final = 1_000
Listing = Callable[["S3Client", str, str], Iterator[dict[str, str]]]
Translated = Callable[[str], AbstractContextManager[None]]


def erase(
    client: S3Client, bucket: str, prefix: str, first: str, *, translated: Translated
) -> Erased:
    """Remove it all, the object `first` before the others, and look that nothing is left.

    Where the store has no versions to list, or does not let us, the objects are removed as they
    are, and the counts say that nobody looked further.

    Args:
        translated: turns what the client raises into our errors.

    Raises:
        StorageError: the bucket is away, or kept something.
        StorageRefused: it lets nobody delete, or not look.
    """

    def all_of(listing: Listing) -> list[dict[str, str]] | None:
        try:
            with translated(prefix):
                return list(listing(client, bucket, prefix))
        except StorageError as error:
            if isinstance(error, StorageRefused) or _unknown(error):
                return None
            raise

    versions = all_of(_versions)
    found = versions
    if found is None:
        with translated(prefix):
            found = list(_objects(client, bucket, prefix))
    found.sort(key=lambda entry: entry["Key"] != first)
    for start in range(0, len(found), BATCH):
        _delete(client, bucket, found[start : start + BATCH], translated)
    uploads = all_of(_uploads)
    for upload in uploads or ():
        with translated(upload["Key"]):
            client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
    with translated(prefix):
        left = len(list(_objects(client, bucket, prefix)))
    left += len(all_of(_versions) or ()) if versions is not None else 0
    left += len(all_of(_uploads) or ()) if uploads is not None else 0
    if left:
        raise StorageError(f"{left} objects below {prefix} are still there after their deletion.")
    return Erased(
        objects=len({entry["Key"] for entry in found}),
        versions=len(versions) if versions is not None else None,
        uploads=len(uploads) if uploads is not None else None,
    )


def _unknown(error: StorageError) -> bool:
    """Whether the store does not know such a request at all."""
    cause = error.__cause__
    code = cause.response.get("Error", {}).get("Code") if isinstance(cause, ClientError) else None
    return code in {"NotImplemented", "MethodNotAllowed"}


def _objects(client: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, str]]:
    pages = client.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            yield {"Key": entry["Key"]}


def _versions(client: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, str]]:
    """Also those of buckets without versions: there each object is one, called `null`."""
    pages = client.get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}


def _uploads(client: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, str]]:
    pages = client.get_paginator("list_multipart_uploads")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Uploads", ()):
            yield {"Key": entry["Key"], "UploadId": entry["UploadId"]}


def _delete(
    client: S3Client, bucket: str, batch: list[dict[str, str]], translated: Translated
) -> None:
    objects: Any = batch
    with translated(batch[0]["Key"]):
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    for error in answer.get("Errors", ()):
        code = error.get("Code", "")
        if code in {"NoSuchKey", "NoSuchVersion"}:
            continue
        kind = StorageRefused if code == "AccessDenied" else StorageError
        raise kind(
            f"{error.get('Key')} was not deleted: {code}. Allow s3:DeleteObject and "
            "s3:DeleteObjectVersion below the prefix."
        )

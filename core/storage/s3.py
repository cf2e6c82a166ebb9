"""An S3-compatible bucket. The one door to boto3; none of its exceptions leaves this file.

Every object carries its SHA-256: as S3's own checksum, verified by the store on arrival, and as
metadata, because a store reports only a checksum of checksums for what came in parts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from pydantic import SecretStr

from core.errors import BadInput, ObjectMissing, StorageError, StorageRefused
from core.ids import new_id
from core.network.addresses import ResolverFailed
from core.storage import s3_erasing
from core.storage.base import Erased, StoredObject
from core.storage.guarded import guard
from core.storage.keys import checked_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 30
CHUNK: Final = 1 << 20
# S3 takes parts of 5 MiB to 5 GiB, at most 10,000 of them.
MULTIPART_FROM: Final = 64 << 20
PART: Final = 16 << 20
MOST_PARTS: Final = 10_000
DELETE_BATCH: Final = 1_000
LIST_PAGE: Final = 1_000
MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
REFUSED: Final = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "InvalidAccessKeyId",
        "InvalidBucketName",
        "NoSuchBucket",
        "PermanentRedirect",
        "SignatureDoesNotMatch",
    }
)


@dataclass(frozen=True)
class Encryption:
    """How the store encrypts each object by itself; `key_id` goes with `aws:kms` only."""

    mode: Literal["AES256", "aws:kms"]
    key_id: str | None = None


@dataclass(frozen=True)
class Bucket:
    """Where a bucket is and how to open it. No keys: the machine's own credentials are used.

    With `trusted_origins` the bucket is a customer's: only https and public addresses are
    connected to, and these origins (CV-16). None: the operator's own.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    force_path_style: bool = False
    encryption: Encryption | None = None
    trusted_origins: tuple[str, ...] | None = None


class S3Storage:
    """Objects below the bucket's prefix. Calls are tried once: retrying is the caller's choice."""

    def __init__(self, bucket: Bucket, *, multipart_from: int = MULTIPART_FROM) -> None:
        self._bucket = bucket.name
        self._prefix = f"{bucket.prefix.strip('/')}/" if bucket.prefix.strip("/") else ""
        self._multipart_from = multipart_from
        self._sealing = _sealing(bucket.encryption)
        with _translated(bucket.name):
            self._client = _client(bucket)

    def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        self._put(key, data, hashlib.sha256(data).digest(), content_type)
        return self.head(key)

    def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        with path.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").digest()
            source.seek(0)
            if path.stat().st_size < self._multipart_from:
                self._put(key, source, sha256, content_type)
            else:
                self._put_in_parts(key, path, sha256, content_type)
        return self.head(key)

    def get_bytes(self, key: str) -> bytes:
        with _translated(key):
            return self._client.get_object(Bucket=self._bucket, Key=self._name(key))["Body"].read()

    def get_file(self, key: str, path: Path) -> None:
        part = path.with_name(f".{path.name}.{new_id('evt')}")
        try:
            with _translated(key):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
                with part.open("wb") as target:
                    for chunk in answer["Body"].iter_chunks(CHUNK):
                        target.write(chunk)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def head(self, key: str) -> StoredObject:
        with _translated(key):
            facts = self._client.head_object(
                Bucket=self._bucket, Key=self._name(key), ChecksumMode="ENABLED"
            )
        checksum = facts.get("ChecksumSHA256")
        in_parts = "-" in facts["ETag"]
        known = base64.b64decode(checksum).hex() if checksum and not in_parts else None
        return StoredObject(
            key=key,
            size=facts["ContentLength"],
            sha256=known or facts["Metadata"].get("sha256"),
            content_type=facts["ContentType"],
        )

    def list(self, prefix: str) -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2")
        with _translated(prefix):
            for page in pages.paginate(
                Bucket=self._bucket,
                Prefix=self._prefix + prefix,
                PaginationConfig={"PageSize": LIST_PAGE},
            ):
                for entry in page.get("Contents", ()):
                    yield StoredObject(
                        key=entry["Key"].removeprefix(self._prefix),
                        size=entry["Size"],
                        sha256=None,
                        content_type="application/octet-stream",
                    )

    def delete(self, keys: Iterable[str]) -> None:
        names = [self._name(key) for key in keys]
        for start in range(0, len(names), DELETE_BATCH):
            batch = names[start : start + DELETE_BATCH]
            with _translated(batch[0]):
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": name} for name in batch], "Quiet": True},
                )
            errors = [
                error for error in answer.get("Errors", ()) if error.get("Code") not in MISSING
            ]
            # What may pass counts before what was refused for good.
            for error in sorted(errors, key=lambda error: error.get("Code") in REFUSED):
                kind = StorageRefused if error.get("Code") in REFUSED else StorageError
                raise kind(f"{error.get('Key')} was not deleted: {error.get('Code')}.")

    def erase(self, prefix: str, first: str) -> Erased:
        return s3_erasing.erase(
            self._client,
            self._bucket,
            f"{self._name(prefix.rstrip('/'))}/",
            self._name(first),
            translated=_translated,
        )

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._name(key)}"

    def link(self, key: str, seconds: int) -> str:
        with _translated(key):
            return self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": self._name(key)},
                ExpiresIn=seconds,
            )

    def _put(self, key: str, body: Any, sha256: bytes, content_type: str) -> None:
        with _translated(key):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._name(key),
                Body=body,
                ContentType=content_type,
                ChecksumSHA256=base64.b64encode(sha256).decode(),
                Metadata={"sha256": sha256.hex()},
                **self._sealing,
            )

    def _put_in_parts(self, key: str, path: Path, sha256: bytes, content_type: str) -> None:
        bucket, name = self._bucket, self._name(key)
        with _translated(key):
            upload_id = self._client.create_multipart_upload(
                Bucket=bucket,
                Key=name,
                ContentType=content_type,
                ChecksumAlgorithm="SHA256",
                Metadata={"sha256": sha256.hex()},
                **self._sealing,
            )["UploadId"]
            try:
                parts = list(self._parts(name, upload_id, path))
                self._client.complete_multipart_upload(
                    Bucket=bucket, Key=name, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )
            except BaseException:
                # Parts of an unfinished upload cost storage until it is aborted.
                with suppress(BotoCoreError, ClientError):
                    self._client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload_id)
                raise

    def _parts(self, name: str, upload_id: str, path: Path) -> Iterator[Any]:
        part_size = max(PART, -(-path.stat().st_size // MOST_PARTS))
        with path.open("rb") as source:
            for number in count(1):
                data = source.read(part_size)
                if not data:
                    return
                checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=name,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=data,
                    ChecksumSHA256=checksum,
                )
                yield {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)


def _sealing(encryption: Encryption | None) -> Any:
    if encryption is None:
        return {}
    by = {"ServerSideEncryption": encryption.mode}
    return by if encryption.key_id is None else by | {"SSEKMSKeyId": encryption.key_id}


def _client(bucket: Bucket) -> S3Client:
    make: Any = Config  # its published type lacks the last argument
    config: Config = make(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        signature_version="s3v4",
        # Stores other than Amazon's do not all know the newer default checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if bucket.force_path_style else "auto"},
        # A customer's bucket is where the customer says, not where this machine's files do.
        ignore_configured_endpoint_urls=bucket.trusted_origins is not None,
    )
    key_id, secret = bucket.access_key_id, bucket.secret_access_key
    client = boto3.session.Session().client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.endpoint,
        aws_access_key_id=key_id.get_secret_value() if key_id else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=config,
    )
    if bucket.trusted_origins is not None:
        guard(client, bucket.trusted_origins, timeout=(CONNECT_SECONDS, READ_SECONDS))
    return client


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code, text = error.get("Code", ""), error.get("Message", "")
        if code in MISSING:
            raise ObjectMissing(f"There is no object {key}.") from exc
        if code in REFUSED:
            raise StorageRefused(
                f"The bucket refused ({code}: {text}). Check its name, region, keys and policy."
            ) from exc
        raise StorageError(f"The bucket answered {code}: {text}") from exc
    except (NoCredentialsError, PartialCredentialsError) as exc:
        raise StorageRefused(
            "The credentials for the bucket are missing or incomplete. Set both "
            "MEETBOT_STORAGE__ACCESS_KEY_ID and MEETBOT_STORAGE__SECRET_ACCESS_KEY."
        ) from exc
    except HTTPClientError as exc:
        cause = exc.kwargs.get("error")
        if isinstance(cause, BadInput) and not isinstance(cause, ResolverFailed):
            raise StorageRefused(cause.message) from exc
        raise StorageError(f"The bucket could not be reached: {cause or exc}") from exc
    except (BotoCoreError, ValueError) as exc:
        raise StorageError(f"The bucket could not be reached: {exc}") from exc

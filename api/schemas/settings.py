"""Settings of a team: where recordings go, and who transcribes them (API-43, API-44, API-84)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, SecretStr, StrictBool, field_validator, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.create_job import Language
from api.schemas.wire import MomentOut, Printable, Request, Response
from core.jobs.spec import TranscriptionOptions
from core.storage.keys import is_plain
from core.storage.probe import ProbeStep, Step
from core.storage.team import TeamStorage
from core.transcripts.models import ProviderKey
from core.transcripts.settings import PROVIDERS, Provider

BUCKET: Final = re.compile(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(?:/(.*))?")
Mode = Literal["off", "byok", "addon"]
EncryptionMode = Literal["AES256", "aws:kms"]
Url = Annotated[Printable, Field(min_length=1, max_length=2048)]


class EncryptionIn(Request):
    """What the store encrypts with. `kmsKeyId` goes with `aws:kms`; without it the store's own."""

    mode: EncryptionMode
    kms_key_id: Annotated[Printable, Field(min_length=1, max_length=2048)] | None = None

    @model_validator(mode="after")
    def _key_fits(self) -> Self:
        if self.mode != "aws:kms" and self.kms_key_id is not None:
            raise ValueError("kmsKeyId goes with mode aws:kms only.")
        return self


class StorageIn(Request):
    """The team's bucket, or `managed`: the operator's, where the operator offers it.

    Without `secretAccessKey` the stored one of the same `accessKeyId` is kept.
    """

    ALSO: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    managed: StrictBool = False
    bucket: Annotated[
        str | None, Field(max_length=1024, examples=["s3://acme-meetings/recordings"])
    ] = None
    endpoint: Url | None = None
    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9\-]{0,62}$")] = "us-east-1"
    access_key_id: Annotated[Printable, Field(min_length=1, max_length=256)] | None = None
    secret_access_key: Annotated[SecretStr, Field(min_length=1, max_length=1024)] | None = None
    force_path_style: StrictBool = False
    encryption: EncryptionIn | None = None

    @field_validator("bucket")
    @classmethod
    def _bucket_is_one(cls, value: str | None) -> str | None:
        if value is None:
            return None
        name, prefix = split_bucket(value)
        if prefix and not is_plain(prefix):
            raise PydanticCustomError(
                "invalid_bucket",
                "The prefix may have letters, digits and . _ - in parts separated by single /.",
            )
        return f"s3://{name}/{prefix}" if prefix else f"s3://{name}"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.managed and self.bucket is not None:
            raise ValueError("Send bucket, or managed: true, not both.")
        if not self.managed and (self.bucket is None or self.access_key_id is None):
            raise ValueError("Send bucket as s3://<name>[/<prefix>], and accessKeyId.")
        return self


def split_bucket(uri: str) -> tuple[str, str]:
    """Name and prefix of `s3://<name>[/<prefix>]`."""
    found = BUCKET.fullmatch(uri.strip())
    if found is None or ".." in found[1]:
        raise PydanticCustomError(
            "invalid_bucket", "Write the bucket as s3://<name>[/<prefix>], such as s3://acme/calls."
        )
    return found[1], (found[2] or "").strip("/")


class EncryptionOut(Response):
    mode: EncryptionMode
    kms_key_id: str | None


class StorageOut(Response):
    """Where recordings go. The secret is never shown.

    `managed`: the team uses the operator's storage; `managedOffered`: it may.
    """

    configured: bool
    managed: bool
    managed_offered: bool
    bucket: str | None = None
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    has_secret_access_key: bool = False
    force_path_style: bool = False
    encryption: EncryptionOut | None = None
    updated_at: MomentOut | None = None

    @classmethod
    def of(cls, row: TeamStorage | None, access_key_id: str | None, *, offered: bool) -> Self:
        if row is None or row.managed:
            return cls(
                configured=False,
                managed=row is not None and offered,
                managed_offered=offered,
                updated_at=row.updated_at if row is not None else None,
            )
        mode: EncryptionMode | None = row.encryption  # type: ignore[assignment]
        return cls(
            configured=True,
            managed=False,
            managed_offered=offered,
            bucket=row.uri,
            endpoint=row.endpoint or None,
            region=row.region,
            access_key_id=access_key_id,
            has_secret_access_key=True,
            force_path_style=row.force_path_style,
            encryption=EncryptionOut(mode=mode, kms_key_id=row.kms_key_id) if mode else None,
            updated_at=row.updated_at,
        )


class ProbeStepOut(Response):
    step: Step
    ok: bool
    message: str


class ProbeOut(Response):
    """All steps of the test worked; a failing one makes the answer a 502 that says what to do."""

    ok: Literal[True] = True
    bucket: str
    steps: list[ProbeStepOut]

    @classmethod
    def of(cls, bucket: str, steps: Sequence[ProbeStep]) -> Self:
        return cls(bucket=bucket, steps=[ProbeStepOut(**vars(step)) for step in steps])


class TranscriptionSettingsIn(Request):
    """Who transcribes when a job does not say, and the key of a provider.

    `apiKey` is stored for `provider`, also where `mode` is another; null takes it away. Without it
    the stored key stays. `baseUrl` is where the provider is, such as its EU address, or any server
    that speaks OpenAI's protocol (`whisper`); `model` is one of the provider's.
    """

    mode: Mode
    provider: Provider | None = None
    api_key: Annotated[SecretStr, Field(min_length=1, max_length=1024)] | None = None
    base_url: Url | None = None
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/\-]{0,127}$")] | None = None
    language: Language | None = None
    wait: StrictBool = True

    @model_validator(mode="after")
    def _provider_named(self) -> Self:
        of_provider = {"api_key", "base_url", "model"} & self.model_fields_set
        if self.provider is None and (self.mode == "byok" or of_provider):
            known = ", ".join(PROVIDERS)
            raise ValueError(f"Say which provider: one of {known}.")
        return self


class ProviderOut(Response):
    """A provider; its key is never shown."""

    provider: Provider
    has_api_key: bool
    base_url: str | None = None
    model: str | None = None
    updated_at: MomentOut | None = None


class TranscriptionSettingsOut(Response):
    """What jobs get that say nothing. `hasApiKey` is about `provider`."""

    mode: Mode
    provider: Provider | None
    has_api_key: bool
    language: str | None
    wait: bool
    providers: list[ProviderOut]

    @classmethod
    def of(cls, options: TranscriptionOptions, keys: Mapping[Provider, ProviderKey]) -> Self:
        return cls(
            mode=options.mode,
            provider=options.provider,
            has_api_key=options.provider in keys,
            language=options.language,
            wait=options.wait,
            providers=[_provider(name, keys.get(name)) for name in PROVIDERS],
        )


def _provider(name: Provider, row: ProviderKey | None) -> ProviderOut:
    if row is None:
        return ProviderOut(provider=name, has_api_key=False)
    return ProviderOut(
        provider=name,
        has_api_key=True,
        base_url=row.base_url,
        model=row.model,
        updated_at=row.updated_at,
    )

"""Which storage a recording goes to."""

from __future__ import annotations

from core.errors import BadInput
from core.settings import Settings
from core.storage.base import Storage
from core.storage.local import LocalStorage
from core.storage.s3 import Bucket, S3Storage


def create_storage(settings: Settings) -> Storage:
    """The operator's default storage.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    chosen = settings.storage
    if chosen.kind == "s3":
        if not chosen.bucket:
            raise BadInput("Set MEETBOT_STORAGE__BUCKET to the name of the bucket.")
        return S3Storage(
            Bucket(
                name=chosen.bucket,
                prefix=chosen.prefix,
                endpoint=chosen.endpoint,
                region=chosen.region,
                access_key_id=chosen.access_key_id,
                secret_access_key=chosen.secret_access_key,
                force_path_style=chosen.force_path_style,
            )
        )
    if chosen.link_secret is None:
        raise BadInput(
            "Set MEETBOT_STORAGE__LINK_SECRET to a long random text; links to local files are "
            "signed with it."
        )
    return LocalStorage(
        settings.local_storage_root,
        files_url=f"http://{chosen.files_host}:{chosen.files_port}",
        link_secret=chosen.link_secret,
    )

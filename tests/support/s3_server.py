"""A real S3-compatible server as a process of its own, on a free loopback port."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import boto3
import httpx
from botocore.config import Config
from pydantic import SecretStr

from core.storage.s3 import Bucket
from tests.support.ports import free_port

START_SECONDS = 30


class S3Server:
    """Makes buckets and says how to open them."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def bucket(self, name: str, *, prefix: str = "") -> Bucket:
        """A bucket that exists."""
        self._client().create_bucket(Bucket=name)
        return self.missing_bucket(name, prefix=prefix)

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(connect_timeout=5, read_timeout=10, s3={"addressing_style": "path"}),
        )

    def forbid_deletes(self, name: str) -> None:
        """From now on the bucket takes and gives, and lets nobody delete."""
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:DeleteObject",
                    "Resource": f"arn:aws:s3:::{name}/*",
                }
            ],
        }
        self._client().put_bucket_policy(Bucket=name, Policy=json.dumps(policy))

    def missing_bucket(self, name: str, *, prefix: str = "") -> Bucket:
        return Bucket(
            name=name,
            prefix=prefix,
            endpoint=self.endpoint,
            access_key_id=SecretStr("test"),
            secret_access_key=SecretStr("test"),
            force_path_style=True,
        )


@contextmanager
def running_s3_server() -> Iterator[S3Server]:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_until_up(endpoint, process)
            yield S3Server(endpoint)
        finally:
            process.terminate()


def _wait_until_up(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{endpoint}/moto-api/", timeout=2, trust_env=False)
        except httpx.HTTPError:
            Event().wait(0.05)
        else:
            return
    raise RuntimeError("the S3 server did not start")

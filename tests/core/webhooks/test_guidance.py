"""What consumers are told (WH-29)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from core.webhooks.signing import signature

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()


@pytest.mark.parametrize(
    "point",
    [
        "Verify before parsing",
        "Hash the raw bytes",
        "Compare in constant time",
        "Acknowledge quickly",
        "Deduplicate on `deliveryId`",
        "about 10 minutes",
        "Beware of body parsers",
        "Do not re-serialise",
    ],
)
def test_the_page_has_each_point(point: str) -> None:
    assert point in PAGE


def test_the_pages_verifier_works_in_both_phases_and_never_raises() -> None:
    """WH-32, WH-33."""
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    found: dict[str, object] = {}
    exec(code, found)  # noqa: S102 - it is ours, and what people copy
    verify = found["verify"]
    assert callable(verify)
    old, new = SecretStr("whsec_old"), SecretStr("whsec_new")
    body = '{"a":"é"}'.encode()
    both = signature(body, [old, new])
    for secret in ("whsec_old", "whsec_new"):
        assert verify(body, both, secret)
    assert not verify(body, both, "whsec_other")
    assert not verify(body + b" ", both, "whsec_old")
    for header in (None, "", "sha256=", "sha256=zz", "sha1=00", ",,,", "sha256=é"):
        assert not verify(body, header, "whsec_old")

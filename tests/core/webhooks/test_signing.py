"""Signatures (WH-04, WH-32 to WH-34)."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.webhooks.signing import signature, verify

pytestmark = pytest.mark.unit

BODY = b'{"deliveryId":"dlv_1"}'
OLD, NEW = SecretStr("whsec_old"), SecretStr("whsec_new")


def digest(secret: SecretStr) -> str:
    return hmac.new(secret.get_secret_value().encode(), BODY, hashlib.sha256).hexdigest()


def test_the_whole_secret_with_its_prefix_is_the_key() -> None:
    """WH-04."""
    assert signature(BODY, [NEW]) == f"sha256={digest(NEW)}"


def test_during_rotation_both_sign_the_old_one_first() -> None:
    """WH-32."""
    header = signature(BODY, [OLD, NEW])
    assert header == f"sha256={digest(OLD)},sha256={digest(NEW)}"
    assert verify(BODY, header, OLD)
    assert verify(BODY, header, NEW)


@pytest.mark.parametrize(
    ("header", "good"),
    [
        (f"sha256={digest(NEW)}", True),
        (f"sha256={digest(NEW).upper()}", True),
        (f" sha256={digest(OLD)} , sha256={digest(NEW)} ", True),
        (f"nonsense,,sha256=zz,sha256={digest(NEW)}", True),
        (f"sha256={digest(OLD)}", False),
        (f"sha1={digest(NEW)}", False),
        (digest(NEW), False),
        (f"sha256={digest(NEW)[:-1]}", False),
        ("sha256=" + "g" * 64, False),
        ("", False),
        (None, False),
    ],
)
def test_any_good_entry_is_enough_and_bad_ones_are_passed_over(
    header: str | None, good: bool
) -> None:
    """WH-33, WH-34."""
    assert verify(BODY, header, NEW) is good


@given(st.text(), st.binary())
def test_no_header_makes_it_raise(header: str, body: bytes) -> None:
    assert verify(body, header, NEW) is False

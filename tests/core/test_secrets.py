"""Secrets at rest (D21, AU-17)."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from core.errors import BadInput, Unavailable
from core.secrets import SecretBox, generate_key

pytestmark = pytest.mark.unit

SECRET = SecretStr("the-marker")


def test_what_is_sealed_opens_again_and_does_not_show() -> None:
    box = SecretBox([generate_key()])
    sealed = box.seal(SECRET)
    assert "the-marker" not in sealed
    assert box.open(sealed).get_secret_value() == "the-marker"


def test_the_first_key_seals_and_all_keys_open() -> None:
    old, new = generate_key(), generate_key()
    sealed_before = SecretBox([old]).seal(SECRET)
    both = SecretBox([new, old])
    assert both.open(sealed_before) == SECRET
    assert SecretBox([new]).open(both.seal(SECRET)) == SECRET


def test_without_the_key_it_says_which_setting_to_look_at() -> None:
    sealed = SecretBox([generate_key()]).seal(SECRET)
    with pytest.raises(Unavailable, match="MEETBOT_ENCRYPTION_KEYS"):
        SecretBox([generate_key()]).open(sealed)


@pytest.mark.parametrize("keys", [[], [SecretStr("short")]], ids=["none", "malformed"])
def test_bad_keys_are_refused_with_how_to_make_one(keys: list[SecretStr]) -> None:
    with pytest.raises(BadInput, match="generate_key"):
        SecretBox(keys)

"""Tokens of bots: bound to one attempt at one job (AU-16)."""

from __future__ import annotations

import pytest

from core.errors import Unauthorized
from core.ids import new_id
from core.jobs.bot_tokens import BotIdentity, mint_bot_token, read_bot_token
from core.secrets import generate_key

pytestmark = pytest.mark.unit


def test_a_token_says_who_presents_it_and_hides_in_logs() -> None:
    keys, job_id = [generate_key()], new_id("job")
    token = mint_bot_token(keys, job_id, 7)
    assert read_bot_token(keys, f"Bearer {token.get_secret_value()}") == BotIdentity(job_id, 7)
    assert token.get_secret_value() not in repr(token)


def test_a_rotated_key_still_reads_what_it_made() -> None:
    """D21: the newest key makes, all keys read."""
    old, new, job_id = generate_key(), generate_key(), new_id("job")
    token = mint_bot_token([old], job_id, 1).get_secret_value()
    assert read_bot_token([new, old], f"bearer {token}").job_id == job_id
    with pytest.raises(Unauthorized):
        read_bot_token([new], f"Bearer {token}")


def test_nothing_of_a_token_can_be_changed() -> None:
    keys, job_id = [generate_key()], new_id("job")
    token = mint_bot_token(keys, job_id, 1).get_secret_value()
    _, _, bare, fence, mac = token.split("_")
    other = new_id("job").removeprefix("job_")
    changed = [
        f"mb_bot_{other}_{fence}_{mac}",
        f"mb_bot_{bare}_2_{mac}",
        f"mb_bot_{bare}_{fence}_{'0' * 64}",
        f"mb_bot_{bare}_{fence}_{mac[:-1]}",
        f"{token}\n1",
        "",
    ]
    for bearer in [*(f"Bearer {one}" for one in changed), token, f"Basic {token}", None]:
        with pytest.raises(Unauthorized):
            read_bot_token(keys, bearer)

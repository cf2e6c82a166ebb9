"""A browser that is signed in from its start: an account's cookies and local storage (PL-24)."""

from __future__ import annotations

import json
from typing import Final

from playwright.async_api import BrowserContext

from core.integrations.state import StorageState

# What a page has stored itself is newer. Runs ahead of every script of the page, and what it holds
# is in no scope that a page can reach.
_STORE: Final = """((stored) => {
  for (const { name, value } of stored[location.origin] ?? []) {
    if (localStorage.getItem(name) === null) localStorage.setItem(name, value);
  }
})"""


async def sign_in(context: BrowserContext, state: StorageState) -> None:
    """Before the first page is opened.

    Raises:
        playwright.async_api.Error: the browser takes a cookie for no cookie.
    """
    opened = state.opened()
    await context.add_cookies(opened["cookies"])
    if opened["origins"]:
        stored = {one["origin"]: one["localStorage"] for one in opened["origins"]}
        await context.add_init_script(f"{_STORE}({json.dumps(stored)});")

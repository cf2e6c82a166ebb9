"""Browser states of people who are signed in at a meeting platform."""

from __future__ import annotations

from typing import Any


def signed_in(domain: str, value: str = "a session", *, expires: float = -1) -> dict[str, Any]:
    """A storage state as Playwright writes it, of somebody who logged in at `domain`."""
    return {
        "cookies": [
            {
                "name": "session",
                "value": value,
                "domain": f".{domain}",
                "path": "/",
                "expires": expires,
                "httpOnly": True,
                "secure": True,
                "sameSite": "None",
            }
        ],
        "origins": [
            {"origin": f"https://{domain}", "localStorage": [{"name": "user", "value": value}]}
        ],
    }

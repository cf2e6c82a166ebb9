"""Where teams, people, keys and customers are made: in one region, for all of them (RG-06)."""

from __future__ import annotations

from core.errors import InvalidState
from core.settings import IdentitySettings


def require_home(settings: IdentitySettings) -> None:
    """Refuse to change identities where they only arrive.

    Raises:
        InvalidState: this region is not their home; it says where that is.
    """
    if not settings.home:
        raise InvalidState(
            "Teams, logins and keys are kept in another region, for all of them: do this at "
            f"{settings.home_url}. What you change there is valid here too."
        )

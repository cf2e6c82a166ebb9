"""What makes a browser be signed in: cookies and local storage, as Playwright writes them down.

`playwright codegen --save-storage=state.json <login page>` and `BrowserContext.storage_state()`
make such documents.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer
from pydantic.alias_generators import to_camel


class Provider(StrEnum):
    """Whose account it is."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"
    WEBEX = "webex"
    ZOOM = "zoom"


# A cookie of a provider's account is set for one of these, or for a host below it.
DOMAINS: Final[dict[Provider, tuple[str, ...]]] = {
    Provider.GOOGLE: ("google.com",),
    Provider.MICROSOFT: ("microsoftonline.com", "live.com", "microsoft.com"),
    Provider.WEBEX: ("webex.com",),
    Provider.ZOOM: ("zoom.us", "zoom.com"),
}
MOST_COOKIES: Final = 500
MOST_ORIGINS: Final = 50
Name = Annotated[str, Field(max_length=1024)]
Secret = Annotated[SecretStr, Field(max_length=65_536)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class _Valued(_Part):
    name: Name
    value: Secret

    @field_serializer("value")
    def _open(self, value: SecretStr, info: Any) -> str:
        """Hidden everywhere but where it is asked for: in `StorageState.opened`."""
        opened = info.context is not None and info.context.get("opened")
        return value.get_secret_value() if opened else str(value)


class Cookie(_Valued):
    """`expires` in seconds since 1970; -1 for a cookie of the browser's session."""

    domain: Annotated[str, Field(max_length=255)]
    path: Name = "/"
    expires: float = -1
    http_only: bool = False
    secure: bool = False
    same_site: Literal["Strict", "Lax", "None"] = "Lax"


class OriginState(_Part):
    origin: Annotated[str, Field(max_length=2048, pattern=r"^https://[^/]+$")]
    local_storage: Annotated[tuple[_Valued, ...], Field(max_length=1000)] = ()


class StorageState(_Part):
    """Playwright's storage state. Values are secrets and do not show in `repr` or dumps."""

    cookies: Annotated[tuple[Cookie, ...], Field(max_length=MOST_COOKIES)]
    origins: Annotated[tuple[OriginState, ...], Field(max_length=MOST_ORIGINS)] = ()

    def opened(self) -> dict[str, Any]:
        """The plain document, for sealing it and for the browser."""
        found: dict[str, Any] = self.model_dump(
            mode="json", by_alias=True, context={"opened": True}
        )
        return found

    def of_account(self, provider: Provider) -> list[Cookie]:
        """The cookies that the provider's own pages set."""
        return [one for one in self.cookies if _is_below(one.domain, DOMAINS[provider])]

    def expires_at(self, provider: Provider) -> datetime | None:
        """When nothing of the account is left; None where that is the browser's session's end."""
        ends = [one.expires for one in self.of_account(provider)]
        if not ends or min(ends) < 0:
            return None
        return datetime.fromtimestamp(max(ends), UTC)


def _is_below(domain: str, known: tuple[str, ...]) -> bool:
    host = domain.lower().lstrip(".")
    return any(host == one or host.endswith(f".{one}") for one in known)

"""The platforms that have a replica: a platform that is added is one line here and a folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.platforms.spec import Slug


@dataclass(frozen=True)
class ReplicaPlatform:
    """`url` with `{room}`; `lacks` names scenarios that the platform does not have."""

    slug: Slug
    host: str
    url: str
    lacks: frozenset[str] = field(default_factory=frozenset)

    @property
    def origin(self) -> str:
        return f"https://{self.host}"


REPLICAS = (
    ReplicaPlatform(
        "jitsi",
        "meet.jit.si",
        "https://meet.jit.si/{room}",
        frozenset({"captcha", "recording disabled", "locked for good"}),
    ),
    ReplicaPlatform(
        "whereby",
        "acme.whereby.com",
        "https://acme.whereby.com/{room}?roomKey=k",
        frozenset(
            {
                "captcha",
                "recording disabled",
                "passcode",
                "passcode missing",
                "passcode wrong",
                "no door",
            }
        ),
    ),
)
HOSTS = {one.host: str(one.slug) for one in REPLICAS}

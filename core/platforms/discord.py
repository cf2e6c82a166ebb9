"""Discord voice channels."""

from __future__ import annotations

import re
from typing import Final

from core.platforms.spec import Capabilities, PlatformSpec

DISCORD: Final = PlatformSpec(
    slug="discord",
    title="Discord",
    hosts=(),
    rooms=(re.compile(r"//(?P<guild>\d{17,19})/(?P<room>\d{17,19})$"),),
    forms="discord://<guildId>/<voiceChannelId>, ids of 17 to 19 digits",
    examples={"discord://123456789012345678/223456789012345678": "223456789012345678"},
    near_misses=(
        "discord://123/456",
        "discord://123456789012345678",
        "discord://123456789012345678/223456789012345678/1",
        "https://discord.com/channels/123456789012345678/223456789012345678",
    ),
    capabilities=Capabilities(chat=True, speak=True),
    entry_delay_seconds=300,
    scheme="discord",
)

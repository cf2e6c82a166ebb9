"""A platform's pages as data: one file per platform says what is recognised and pressed by what.

The page of a platform changes without notice, so its texts and selectors are not in code. A file
lists them from the most to the least reliable; the one that matched is logged.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bot.platforms.web.states import ERRORS, TERMINAL, PageState
from core.jobs.failures import FailureCode
from core.platforms.spec import Slug

ANCHORS_DIR: Final = Path(__file__).parent.parent / "anchors"

# `button:<text>` is a button with exactly this text, `label:<text>` anything whose accessible
# label begins with it; everything else is a CSS selector.
Locator = Annotated[str, Field(min_length=1, max_length=300)]
Text = Annotated[str, Field(min_length=4, max_length=200)]
Css = Annotated[str, Field(min_length=1, max_length=300)]

# What a driver reaches for; every one is optional, and what is missing is not done.
Purpose = Literal[
    "name",
    "email",
    "passcode",
    "passcode_submit",
    "mute_microphone",
    "stop_camera",
    "join",
    "captions_menu",
    "captions_on",
    "people_open",
    "chat_open",
    "chat_input",
    "chat_send",
    "unmute_microphone",
    "start_camera",
    "share_screen",
    "stop_sharing",
    "stop_incoming_video",
    "leave",
    "leave_confirm",
    "leave_lobby",
]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Signs(_Data):
    """Any of these is enough. Texts are looked for in what is visible outside `ignore`, without
    regard to case, line breaks and the shape of apostrophes; `within` narrows where."""

    text: tuple[Text, ...] = ()
    css: tuple[Css, ...] = ()
    title: tuple[Text, ...] = ()
    url: tuple[Text, ...] = ()
    # Words of the platform's own script about what its client says; they end in `*` for prefixes.
    signal: tuple[str, ...] = ()
    within: tuple[Css, ...] = ()
    # While any of these is visible, nothing of it counts.
    unless: tuple[Css, ...] = ()
    # Nor while any of these is said.
    unless_text: tuple[Text, ...] = ()
    press: tuple[Locator, ...] = ()

    @model_validator(mode="after")
    def _has_signs(self) -> Self:
        if not (self.text or self.css or self.title or self.url or self.signal):
            raise ValueError("give at least one of text, css, title, url and signal")
        return self


class Rule(_Signs):
    """A screen. `code` replaces the state's own; `error` is the platform's name for it (CON-20).

    `press` is how the screen is left, pressed at most every two seconds. `retry`: the room may
    look different in a while, so that the job tries again within its budget.
    """

    state: PageState
    code: FailureCode | None = None
    error: str | None = None
    retry: bool = False

    @property
    def failure(self) -> FailureCode | None:
        return self.code or TERMINAL.get(self.state)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.code is not None and self.state not in TERMINAL:
            raise ValueError(f"{self.state} is no end, so it has no code")
        if self.code is not None and self.code not in ERRORS:
            raise ValueError(f"no screen means {self.code}")
        if self.state is PageState.UNKNOWN:
            raise ValueError("unknown is what no rule matches")
        return self


class Notice(_Signs):
    """Something that lies over the page and is dismissed wherever the bot is."""

    @model_validator(mode="after")
    def _can_be_dismissed(self) -> Self:
        if not self.press:
            raise ValueError("say in `press` how the notice is dismissed")
        return self


class FieldAt(_Data):
    """A value in a row: the text (or `attr`) of what `css` finds below the row, or of the row.

    With `matches`, whether the value matches this regular expression. `strip` is taken away.
    """

    css: str = ""
    attr: str = ""
    matches: str = ""
    strip: str = ""


class Rows(_Data):
    """Where the page lists something, and what its rows say."""

    rows: Css
    fields: Mapping[
        Literal["id", "name", "self", "host", "muted", "text", "at", "speaking"], FieldAt
    ]


class MixAt(_Data):
    """A track of all voices, known by the id of its stream, and where the page shows who speaks.

    `stream` is a regular expression. `lag_ms` is how long after the voice the page shows it; what
    it shows for less than `steady_ms` is flicker.
    """

    stream: Css
    attribution: Literal["signalling", "active-speaker", "caption-author"]
    confidence: Annotated[float, Field(ge=0, le=1)]
    lag_ms: Annotated[int, Field(ge=0, le=2000)] = 0
    steady_ms: Annotated[int, Field(ge=0, le=1000)] = 0
    speaking: Rows


class Anchors(_Data):
    """One platform's file. `seen` says on what its anchors were seen, and when."""

    platform: Slug
    seen: Literal["replica", "real server", "live platform"]
    date: date
    # Parts of the page in which people write: their words are no signs of anything.
    ignore: tuple[Css, ...] = ()
    rules: tuple[Rule, ...]
    notices: tuple[Notice, ...] = ()
    anchors: Mapping[Purpose, tuple[Locator, ...]] = Field(default_factory=dict)
    roster: Rows | None = None
    chat: Rows | None = None
    captions: Rows | None = None
    mix: MixAt | None = None
    # What a shared screen is shown in, with its video in it, and whose it is.
    screen: Rows | None = None
    chat_limit: int = 500
    # What is logged when there is no way to captions (PL-07, PL-35, PL-63).
    captions_missing: str

    @model_validator(mode="after")
    def _ends_come_first(self) -> Self:
        """Pages keep old lobby texts behind what ended the wait."""
        states = [rule.state for rule in self.rules]
        waiting = [index for index, state in enumerate(states) if state not in TERMINAL]
        ends = [index for index, state in enumerate(states) if state in TERMINAL]
        if ends and waiting and max(ends) > min(waiting):
            late = self.rules[max(ends)]
            raise ValueError(f"rule {max(ends)} ({late.state}) comes after {states[min(waiting)]}")
        if PageState.ADMITTED not in states:
            raise ValueError("say how the bot knows that it is in the room (state admitted)")
        return self

    def for_page(self) -> dict[str, Any]:
        """What the page parts find in `CONFIG.web`."""
        return {"web": self.model_dump(mode="json", exclude={"seen", "date"})}


@cache
def load_anchors(slug: str) -> Anchors:
    """The file of a platform; a mistake in it is a pydantic ValidationError."""
    text = (ANCHORS_DIR / f"{slug}.toml").read_text(encoding="utf-8")
    return Anchors.model_validate(tomllib.loads(text))

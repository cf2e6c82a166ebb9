"""What a driver recognises in a page that is there now: for operators, after a platform changed."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.browser.bridge import Bridge
from bot.platforms.driver import PAGE_DIR
from bot.platforms.web.states import PageState

# Goes after the parts of the platform's driver.
DOCTOR_PART: Final = PAGE_DIR / "web" / "doctor.js"

Short = Annotated[str, Field(max_length=400)]
Words = Annotated[str, Field(max_length=4_000)]


class _Claim(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleMatched(_Claim):
    """A rule of the anchors' file that fits, by its number from 0, and the sign that did it."""

    rule: int
    state: PageState
    sign: Short


class TrackReceived(_Claim):
    """A received track. `taken` is how the recorder gets at it, `sources` how many speak on it."""

    kind: Literal["audio", "video"]
    state: Short
    streams: list[Short]
    taken: Short
    sources: int


class PageReport(_Claim):
    """One moment of a page. The first of `rules` is what the driver takes it for.

    `anchors` has every purpose of the file, '' where nothing of it is visible. `people` and
    `owners` are None where the client's objects are not as the driver knows them.
    """

    title: Short
    language: Short
    rules: list[RuleMatched]
    anchors: dict[Short, Short]
    signals: list[Short]
    shape: Words
    words: Words
    people: int | None
    owners: int | None
    connections: list[Short]
    tracks: list[TrackReceived]


async def inspect_page(bridge: Bridge) -> PageReport:
    """Ask the page for everything at once.

    Raises:
        PageError: it does not answer.
        ValidationError: what it answers is none.
    """
    return PageReport.model_validate(await bridge.call("doctor.report"))

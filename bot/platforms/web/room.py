"""The room of every platform that has a web client: one driver, with the platform's anchors."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from playwright.async_api import Error
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.browser.bridge import PageError
from bot.platforms.devices import Devices, PutsOut
from bot.platforms.driver import PAGE_DIR, DriverContext, PlatformDriver
from bot.platforms.opening import open_page
from bot.platforms.output import OUTPUT_PART, OutputKind, OutputMedia
from bot.platforms.room import Capabilities, Entry, Sight, View
from bot.platforms.screenshot import take_screenshot
from bot.platforms.web.anchors import Anchors, Purpose, Rule, load_anchors
from bot.platforms.web.states import ERRORS, VIEWS, PageState
from core.errors import (
    AuthFailure,
    BadInput,
    MeetingError,
    NetworkLoss,
    NotFound,
    RoomLocked,
    SignedOut,
    UnknownScreen,
)
from core.jobs.failures import FailureCode
from core.platforms.registry import spec_of
from core.platforms.spec import PlatformSpec, Slug

log = logging.getLogger(__name__)

LEAVE_TIMEOUT_MS: Final = 1500.0
# A page that was reloaded on the way in is asked again, so often at most.
MOST_ASKS: Final = 3
# How long a page may take to look at a passcode before asking again means that it was wrong.
PASSCODE_SECONDS: Final = 8.0
MENU_MS: Final = 1500
# How long a text may come after the client's own name for what it says.
WORDS_SECONDS: Final = 1.5
WORDS_LOOK_SECONDS: Final = 0.1
PASSCODE_ERROR: Final = "meeting_inaccessible"
_SHARED: Final = ("finding.js", "looking.js", "reading.js", "people_words.js")
_ON: Final[dict[OutputKind, Purpose]] = {
    "audio": "unmute_microphone",
    "image": "start_camera",
    "video": "share_screen",
}
_OFF: Final[dict[OutputKind, Purpose]] = {
    "audio": "mute_microphone",
    "image": "stop_camera",
    "video": "stop_sharing",
}


class WebSight(BaseModel):
    """The answer of the command `web.look`: the page's claim about what it shows.

    `rule` is the index of the rule that fitted, -1 for none; `doc` names the document, so that a
    reload is noticed; `pressed` is what was pressed away.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: PageState
    rule: int = Field(ge=-1)
    evidence: str = Field(max_length=500)
    doc: str = Field(max_length=40)
    pressed: str = Field(max_length=500)


class WebRoom(PutsOut):
    """Implements `bot.platforms.room.Room` on a platform's web client."""

    def __init__(self, context: DriverContext, spec: PlatformSpec, anchors: Anchors) -> None:
        self.capabilities: Capabilities = spec.capabilities
        self._context = context
        self._page = context.page
        self._spec = spec
        self._anchors = anchors
        self._devices = Devices(OutputMedia(context.bridge), self._switch)
        self._entry: Entry | None = None
        self._asked_in: str | None = None
        # The document in which the bot is in the room.
        self._inside: str | None = None
        self._asks = 0
        self._passcode_at: float | None = None
        self._seen: WebSight | None = None

    async def open(self) -> None:
        await open_page(
            self._page,
            self._context.url,
            trusted_origins=self._context.trusted_origins,
            timeout_seconds=self._context.navigation_timeout_seconds,
            resolver=self._context.resolver,
        )

    async def ask_to_join(self, entry: Entry) -> None:
        self._entry = entry
        self._asks += 1
        self._asked_in = self._seen.doc if self._seen else None
        inside = self._seen is not None and self._seen.state is PageState.ADMITTED
        named = not inside and await self._type("name", entry.display_name)
        if named and self._context.signed_in:
            raise SignedOut(f"{self._spec.title} asks for a name: it does not know the account.")
        if not named and await self._call("web.rename", {"name": entry.display_name}):
            self._note("name", "the client itself")
        if entry.password is not None and await self._type("passcode", entry.password):
            self._passcode_at = _now()
        for purpose in ("mute_microphone", "stop_camera"):
            await self._press(purpose)
        if not inside and not await self._press("join", wait_ms=MENU_MS):
            state = self._seen.state if self._seen else PageState.UNKNOWN
            if state is PageState.PASSCODE_REQUIRED:
                await self._press("passcode_submit")
            else:
                raise UnknownScreen(f"{self._spec.title} shows no way to join ({state}).")

    async def look(self) -> Sight:
        try:
            seen = WebSight.model_validate(await self._context.bridge.call("web.look"))
            rule = self._anchors.rules[seen.rule] if seen.rule >= 0 else None
        except (PageError, ValidationError, IndexError):
            # Between two documents, or a page that is not the platform's.
            return Sight(View.LOADING)
        await self._tell_changes(seen, rule)
        self._seen = seen
        if seen.state is PageState.PASSCODE_REQUIRED:
            return await self._passcode(seen)
        view = VIEWS[seen.state]
        if view is View.IN_ROOM and self._inside is None:
            self._inside = seen.doc
        if self._is_anew(view, seen):
            # What was recorded of the old document has ended, its panels are closed: it is one more
            # page that lost the room (FC-09).
            return _over(NetworkLoss(f"{self._spec.title} loaded its page anew in the call."))
        if view is View.PREJOIN:
            await self._ask_after_reload(seen)
        if rule and view is View.OVER:
            seen = await self._in_words(rule, seen)
        failure = self._failure(rule, seen) if rule and view is View.OVER else None
        waits = seen.state is PageState.WAITING_FOR_HOST
        return Sight(view, seen.evidence, failure, waits)

    async def settle_in(self) -> None:
        anchor = ""
        try:
            anchor = await self._call("web.captions")
        except PageError as error:
            # A way to them that fails leaves the panels to be opened all the same.
            log.warning("%s: captions could not be switched on: %s", self._spec.slug, error)
        if anchor:
            self._note("captions_on", anchor)
        else:
            log.info("%s", self._anchors.captions_missing)
        for purpose in ("people_open", "chat_open"):
            await self._press(purpose)

    async def stop_incoming_video(self) -> bool:
        if await self._call("web.receiveNoVideo"):
            self._note("stop_incoming_video", "the client itself")
            return True
        return await self._press("stop_incoming_video")

    async def pin(self, platform_id: str, display_name: str) -> None:
        if not await self._call("web.pin", {"platformId": platform_id}):
            raise NotFound(f"{display_name} is not in the room any more.")

    async def screenshot(self) -> bytes:
        return await take_screenshot(self._page)

    async def send_chat(self, text: str) -> None:
        limit = self._anchors.chat_limit
        if len(text) > limit:
            title = self._spec.title
            raise BadInput(f"The chat of {title} takes {limit} characters; this has {len(text)}.")
        if await self._call("web.say", {"text": text}):
            return
        if not await self._call("web.has", {"purpose": "chat_input"}):
            await self._press("chat_open", wait_ms=MENU_MS)
        if not await self._type("chat_input", text):
            raise UnknownScreen(f"{self._spec.title} shows no chat to write in.")
        if not await self._press("chat_send"):
            await self._page.keyboard.press("Enter")

    async def leave(self) -> None:
        # Closing the page alone would leave a guest behind that knocks, or a frozen picture.
        with suppress(Error, MeetingError):
            await self._call("web.leave", timeout=LEAVE_TIMEOUT_MS / 1000)
        with suppress(Error):
            await self._page.goto("about:blank", timeout=LEAVE_TIMEOUT_MS)

    # --- inside -------------------------------------------------------------------------------

    async def _passcode(self, seen: WebSight) -> Sight:
        """The meeting asks for its passcode, at the door or behind it."""
        entry = self._entry
        if entry is None:
            return Sight(View.PREJOIN, seen.evidence)
        if entry.password is None:
            return _over(self._inaccessible("and the job has none", seen))
        if self._passcode_at is None:
            if await self._type("passcode", entry.password):
                self._passcode_at = _now()
                await self._press("passcode_submit")
        elif _now() - self._passcode_at > PASSCODE_SECONDS:
            return _over(self._inaccessible("and does not take the job's", seen))
        return Sight(View.JOINING, seen.evidence)

    def _inaccessible(self, why: str, seen: WebSight) -> AuthFailure:
        return AuthFailure(
            f"{PASSCODE_ERROR}: {self._spec.title} asks for a passcode {why}: {seen.evidence}",
            PASSCODE_ERROR,
        )

    async def _in_words(self, rule: Rule, seen: WebSight) -> WebSight:
        """An end that the client has named and the page not yet: its text comes in a moment, and
        that is what people read in the failure's detail (FC-02)."""
        deadline = _now() + WORDS_SECONDS
        best = seen
        while rule.text and _named(rule, best) and _now() < deadline:
            await asyncio.sleep(WORDS_LOOK_SECONDS)
            with suppress(PageError, ValidationError):
                later = WebSight.model_validate(await self._context.bridge.call("web.look"))
                best = later if later.rule == seen.rule else best
        return best

    def _failure(self, rule: Rule, seen: WebSight) -> MeetingError | None:
        code = rule.failure
        if code is None:
            return None
        if seen.state is PageState.SIGN_IN_REQUIRED and self._context.signed_in:
            return SignedOut(f"{self._spec.title} asks to sign in again: {seen.evidence}")
        prefix = f"{rule.error}: " if rule.error else ""
        message = f"{prefix}{self._spec.title} says: {seen.evidence}"
        if rule.retry and code is FailureCode.HOST_DENIED_ADMISSION:
            return RoomLocked(message, rule.error)
        return ERRORS[code](message, rule.error)

    def _is_anew(self, view: View, seen: WebSight) -> bool:
        """Whether another document than that of the room is on the way in; one that shows an end,
        or nothing known yet, is told as it is."""
        if self._inside is None or seen.doc == self._inside:
            return False
        return view not in {View.OVER, View.LOADING}

    async def _ask_after_reload(self, seen: WebSight) -> None:
        if self._entry is None or seen.doc == self._asked_in or self._asks >= MOST_ASKS:
            return
        log.info("%s: the page was loaded anew; asking again", self._spec.slug)
        with suppress(UnknownScreen, Error):
            await self.ask_to_join(self._entry)

    async def _tell_changes(self, seen: WebSight, rule: Rule | None) -> None:
        if seen.pressed:
            self._note("notice", seen.pressed)
        if self._seen is None or seen.state is not self._seen.state:
            log.info("%s: %s (%s)", self._spec.slug, seen.state, seen.evidence)
            if seen.state is PageState.DENIED or rule is None:
                # What is on the screen, and what the client's own objects look like (PL-48).
                with suppress(MeetingError):
                    shape = await self._call("web.shape") or "nothing known of its objects"
                    log.info("%s:not admitted (%s); %s", self._spec.slug, seen.evidence, shape)

    async def _type(self, purpose: Purpose, text: str) -> bool:
        """By real keys: some clients look at these. False where there is no such field."""
        anchor = await self._call("web.focus", {"purpose": purpose})
        if not anchor:
            return False
        self._note(purpose, anchor)
        async with asyncio.timeout(self._context.step_timeout_seconds):
            await self._page.keyboard.type(text)
        await self._call("web.fill", {"purpose": purpose, "text": text})
        return True

    async def _press(self, purpose: Purpose, *, wait_ms: int = 0) -> bool:
        anchor = await self._call("web.press", {"purpose": purpose, "wait": wait_ms})
        if anchor:
            self._note(purpose, anchor)
        return bool(anchor)

    async def _switch(self, kind: OutputKind, on: bool) -> None:
        """A device of a bot in the room; its opposite's button shows that it is done."""
        wanted, other = (_ON, _OFF) if on else (_OFF, _ON)
        pressed = await self._press(wanted[kind])
        if pressed and on:
            await self._call("web.until", {"purpose": other[kind]}, timeout=15)

    def _note(self, purpose: str, anchor: str) -> None:
        log.info("%s: %s by %s", self._spec.slug, purpose, anchor)

    async def _call(
        self, command: str, args: dict[str, object] | None = None, *, timeout: float = 10
    ) -> str:
        answer = await self._context.bridge.call(command, args, timeout=timeout)
        return answer if isinstance(answer, str) else ("yes" if answer else "")


def web_driver(slug: Slug, *parts: Path) -> PlatformDriver:
    """The driver of a platform with a web client: its anchors' file, and its own page parts."""
    anchors = load_anchors(slug)
    folder = PAGE_DIR / "web"
    return PlatformDriver(
        slug=slug,
        page_parts=(
            PAGE_DIR / "observer.js",
            OUTPUT_PART,
            *(folder / name for name in _SHARED),
            *parts,
            folder / "room.js",
        ),
        room=lambda context: WebRoom(context, spec_of(slug), anchors),
        page_config=anchors.for_page(),
    )


def _over(failure: MeetingError) -> Sight:
    return Sight(View.OVER, failure.message, failure)


def _named(rule: Rule, seen: WebSight) -> bool:
    """Whether it was the client's own name for it that decided, and no text of the page."""
    return any(
        seen.evidence.startswith(one[:-1]) if one.endswith("*") else seen.evidence == one
        for one in rule.signal
    )


def _now() -> float:
    return asyncio.get_running_loop().time()

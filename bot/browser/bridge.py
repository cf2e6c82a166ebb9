"""Messages between the meeting page and Python, through a native binding (design.md D19).

The page is hostile: every message is a claim. A call from the page counts only when it carries
the nonce of this run, comes from a frame in which our init script runs, stays within size and
byte budget and fits the schema of its kind. All others are refused, counted and logged once.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from playwright.async_api import CDPSession, Error, Page
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from bot.browser.init_script import BridgeKeys, assemble_init_script
from core.clock import Clock
from core.errors import BotFault

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

MAX_CALL_CHARS: Final = 1024 * 1024
# Of a kind that nobody knows; a page may call it anything.
MAX_NAMED_CHARS: Final = 40
MAX_FRAMES: Final = 64
# `this` is the page's command runner; see runCommand in page/bridge.js.
_RUN: Final = "function (text) { return this(text); }"
# Half of a surrogate pair, as a page's JSON writes it: what cuts a name may cut an emoji in two.
_HALF: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)"
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    r"(?(2)|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class PageError(BotFault):
    """A command to the page failed, or the page that should run it is gone."""


@dataclass(frozen=True)
class Budget:
    """What the page may send: a sustained rate, and a burst of `burst_seconds` of it."""

    bytes_per_second: int = 8 * 1024 * 1024
    calls_per_second: int = 400
    burst_seconds: float = 4


class _Hello(BaseModel):
    main: bool


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: str
    body: Any


@dataclass(frozen=True)
class _Route:
    model: type[BaseModel]
    handler: Callable[[Any], None]


class _Bucket:
    """A token bucket: `take` says whether `amount` still fits."""

    def __init__(self, rate: float, burst_seconds: float, clock: Clock) -> None:
        self._rate = rate
        self._capacity = rate * burst_seconds
        self._level = self._capacity
        self._clock = clock
        self._at = clock.monotonic()

    def take(self, amount: float) -> bool:
        now = self._clock.monotonic()
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        if amount > self._level:
            return False
        self._level -= amount
        return True


class Bridge:
    """One bridge per session; it is attached to one page at a time.

    `refused` counts what was turned away, by reason. A handler that raises is our own fault:
    the first such exception is kept in `fault` and `faulted` is set.
    """

    def __init__(self, clock: Clock, budget: Budget | None = None) -> None:
        self.refused: Counter[str] = Counter()
        self.fault: Exception | None = None
        self.faulted = asyncio.Event()
        self._budget = budget or Budget()
        self._clock = clock
        self._routes: dict[str, _Route] = {}
        self._keys = BridgeKeys()
        self._cdp: CDPSession | None = None
        self._runner: str | None = None
        self._frames: set[int] = set()
        # Answered here, where there is no page.
        self._served: Mapping[str, Callable[[Mapping[str, Any]], Any]] | None = None
        self._refill()

    def on(self, kind: str, model: type[M], handler: Callable[[M], None]) -> None:
        """Send messages of `kind`, checked against `model`, to `handler` (replaces an earlier)."""
        self._routes[kind] = _Route(model, handler)

    def emit(self, kind: str, body: BaseModel) -> None:
        """Hand a message to its handler, by an engine that has no page; it is our own, so it is
        not counted against the budget of pages."""
        route = self._routes.get(kind)
        if route is not None:
            self._hand(kind, route, body)

    def serve(self, commands: Mapping[str, Callable[[Mapping[str, Any]], Any]]) -> None:
        """Answer commands here from now on, instead of in a page, until `detach`."""
        self._served = commands

    async def attach(self, page: Page, parts: Sequence[Path], config: Mapping[str, Any]) -> None:
        """Install the init script with its `parts` and listen; call before the page navigates.

        A page attached earlier is no longer heard.
        """
        await self.detach()
        self._keys = BridgeKeys()
        self._frames.clear()
        self._refill()
        script = assemble_init_script(self._keys, parts, config)
        cdp = await page.context.new_cdp_session(page)
        self._cdp = cdp
        for event, handler in self._listeners():
            cdp.on(event, handler)
        # Without it, Chromium offers the binding to no document.
        await cdp.send("Runtime.enable")
        await cdp.send("Page.enable")
        await cdp.send("Runtime.addBinding", {"name": self._keys.binding})
        await cdp.send("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    async def detach(self) -> None:
        """Stop listening; never raises when the page is already gone."""
        cdp, self._cdp, self._runner = self._cdp, None, None
        self._served = None
        if cdp is None:
            return
        for event, handler in self._listeners():
            cdp.remove_listener(event, handler)
        try:
            async with asyncio.timeout(2):
                await cdp.detach()
        except (Error, TimeoutError):
            log.debug("The page went away before its bridge was detached.")

    async def call(
        self, command: str, args: Mapping[str, Any] | None = None, *, timeout: float = 10
    ) -> Any:
        """Run a page command (`onCommand`) in the main frame, with user activation.

        Returns what the command returned, as JSON values. `timeout` is in seconds.

        Raises:
            PageError: no such command, it threw, the page is gone, or time ran out.
        """
        if self._served is not None:
            if command not in self._served:
                raise PageError(f"This meeting has no page that could run {command}.")
            return self._served[command](args or {})
        text = json.dumps({"name": command, "args": dict(args or {})}, allow_nan=False)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._run(text)
        except Error as error:
            raise PageError(f"The page could not run {command}: {error.message}") from error
        except TimeoutError:
            message = f"The page did not answer {command} within {timeout:g} s."
            raise PageError(message) from None
        if "error" in answer:
            raise PageError(f"The page command {command} failed: {str(answer['error'])[:500]}")
        return answer.get("value")

    # Commands

    async def _run(self, text: str) -> dict[str, Any]:
        if self._runner is not None:
            try:
                return await self._call_on(self._runner, text)
            except Error as error:
                if not _is_stale_handle(error):
                    raise
        # A new document has a new runner.
        self._runner = await self._find_runner()
        return await self._call_on(self._runner, text)

    async def _call_on(self, runner: str, text: str) -> dict[str, Any]:
        reply = await self._session().send(
            "Runtime.callFunctionOn",
            {
                "objectId": runner,
                "functionDeclaration": _RUN,
                "arguments": [{"value": text}],
                "userGesture": True,
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        value = reply.get("result", {}).get("value")
        if not isinstance(value, str):
            raise PageError("The page answered a command with something else than text.")
        try:
            answer = _parsed(value)
        except ValueError:
            raise PageError("The page answered a command with what is no JSON.") from None
        if not isinstance(answer, dict):
            raise PageError("The page answered a command with something else than an object.")
        return answer

    async def _find_runner(self) -> str:
        cdp = self._session()
        # Handlers of listeners are told only for objects that belong to a group.
        window = await cdp.send(
            "Runtime.evaluate", {"expression": "this", "silent": True, "objectGroup": "bridge"}
        )
        found = await cdp.send(
            "DOMDebugger.getEventListeners", {"objectId": window["result"]["objectId"]}
        )
        for listener in found["listeners"]:
            if listener["type"] == self._keys.listener and "handler" in listener:
                return str(listener["handler"]["objectId"])
        raise PageError("The init script is not running in this page; was the page opened?")

    def _session(self) -> CDPSession:
        if self._cdp is None:
            raise PageError("The bridge is not attached to a page.")
        return self._cdp

    # Messages

    def _listeners(self) -> tuple[tuple[str, Callable[[dict[str, Any]], None]], ...]:
        return (
            ("Runtime.bindingCalled", self._called),
            ("Runtime.executionContextDestroyed", self._forget_frame),
            ("Runtime.executionContextsCleared", self._forget_frames),
        )

    def _forget_frame(self, event: dict[str, Any]) -> None:
        self._frames.discard(event["executionContextId"])

    def _forget_frames(self, _event: dict[str, Any]) -> None:
        self._frames.clear()

    def _refill(self) -> None:
        budget = self._budget
        self._bytes = _Bucket(budget.bytes_per_second, budget.burst_seconds, self._clock)
        self._calls = _Bucket(budget.calls_per_second, budget.burst_seconds, self._clock)

    def _called(self, event: dict[str, Any]) -> None:
        payload = event["payload"]
        nonce = self._keys.nonce
        if event["name"] != self._keys.binding:
            self._refuse("binding")
        elif len(payload) > MAX_CALL_CHARS:
            self._refuse("oversize")
        elif not hmac.compare_digest(_raw(payload[: len(nonce)]), _raw(nonce)):
            self._refuse("nonce")
        elif not (self._calls.take(1) and self._bytes.take(len(payload))):
            self._refuse("budget")
        else:
            self._receive(payload[len(nonce) :], event["executionContextId"])

    def _receive(self, text: str, frame: int) -> None:
        try:
            messages = _parsed(text)
        except ValueError:
            self._refuse("json")
            return
        if not isinstance(messages, list):
            self._refuse("schema")
            return
        for raw in messages:
            try:
                message = _Message.model_validate(raw)
            except ValidationError:
                self._refuse("schema")
                continue
            self._dispatch(message, frame)

    def _dispatch(self, message: _Message, frame: int) -> None:
        if message.kind == "hello":
            self._greet(frame)
            return
        if frame not in self._frames:
            self._refuse("frame")
            return
        route = self._routes.get(message.kind)
        if route is None:
            self._refuse("kind", ascii(message.kind[:MAX_NAMED_CHARS]))
            return
        try:
            body = route.model.model_validate(message.body)
        except ValidationError as error:
            self._refuse("schema", f"{message.kind}: {error.error_count()} errors")
            return
        self._hand(message.kind, route, body)

    def _hand(self, kind: str, route: _Route, body: BaseModel) -> None:
        try:
            route.handler(body)
        except Exception as error:
            log.exception("The handler of %s messages failed.", kind)
            if self.fault is None:
                self.fault = error
            self.faulted.set()

    def _greet(self, frame: int) -> None:
        if len(self._frames) >= MAX_FRAMES:
            self._refuse("frame")
        else:
            self._frames.add(frame)

    def _refuse(self, reason: str, detail: str = "") -> None:
        self.refused[reason] += 1
        if self.refused[reason] == 1:
            log.warning("Refused a message from the page (%s). %s", reason, detail)


def _parsed(text: str) -> Any:
    """JSON of a page. Half a character costs that character, never the messages around it.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        whole = _HALF.sub(lambda found: found[0] if found[2] else f"{found[1]}\\ufffd", text)
        return from_json(whole)


def _raw(text: str) -> bytes:
    """Whatever a page can put into a string, half surrogate pairs included."""
    return text.encode("utf-8", "surrogatepass")


def _is_stale_handle(error: Error) -> bool:
    return any(
        sign in error.message
        for sign in ("Cannot find context", "Could not find object", "Object reference")
    )

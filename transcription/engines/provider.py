"""What the clients of providers share: requests, their bounds, and what failures mean (AR-10).

An engine runs in a thread of its own, so it brings its own event loop. Every connection is checked
when it is made (CV-16); every request has a time limit, few attempts and a largest answer; all of
a recording's requests together end when the time given to it is over.
"""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from core.clock import Clock, SystemClock
from core.errors import BadInput, ProviderAway, ProviderFailed
from core.network.addresses import Resolve, ResolverFailed, resolve
from core.network.pinned import REDIRECTED, PinnedClient
from core.texts import plain_text
from core.transcripts.settings import SET_A_KEY, ProviderAccess
from transcription.audio import encoded, parts_of
from transcription.engine import Engine, Heard, Samples, Word

CONNECT_SECONDS: Final = 10
# Providers that answer when they have understood everything are silent until then.
SILENCE_SECONDS: Final = 300
MOST_ATTEMPTS: Final = 4
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
MOST_ANSWER_BYTES: Final = 64 << 20
LONGEST_REASON: Final = 300
# These pass by themselves; all other refusals stay.
PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# Languages that are written without spaces between words.
UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "km", "yue"})

Shape = TypeVar("Shape", bound=BaseModel)


class Answer(BaseModel):
    """Base of what providers answer; what we do not use is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)


@dataclass(frozen=True)
class _Refusal:
    status: int
    body: bytes
    retry_after: float | None


class ProviderEngine(Engine):
    """A provider's speech-to-text, with the customer's key.

    Args:
        seconds: for all tracks of one recording together.
        trusted_origins: the operator's exceptions to https and public addresses.
    """

    usual_url: ClassVar[str]
    usual_model: ClassVar[str]
    # How people call it.
    title: ClassVar[str]
    # The longest audio of one request.
    longest_seconds: ClassVar[float] = 10 * 3600

    def __init__(
        self,
        access: ProviderAccess,
        *,
        seconds: float,
        trusted_origins: tuple[str, ...] = (),
        clock: Clock | None = None,
        resolver: Resolve = resolve,
    ) -> None:
        self.provider = access.provider
        self.model = access.model or self.usual_model
        self._base = (access.base_url or self.usual_url).rstrip("/")
        self._key = access.api_key
        self._clock = clock or SystemClock()
        self._seconds = seconds
        self._until = self._clock.monotonic() + seconds
        self._trusted = trusted_origins
        self._resolver = resolver

    def _words(self, samples: Samples, language: str | None) -> Heard:
        return asyncio.run(self._within(samples, language))

    async def _within(self, samples: Samples, language: str | None) -> Heard:
        try:
            async with asyncio.timeout(max(self.seconds_left, 0)):
                return await self._all(samples, language)
        except TimeoutError:
            raise self.too_slow() from None

    async def _all(self, samples: Samples, language: str | None) -> Heard:
        words: list[Word] = []
        languages: list[str] = []
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        async with PinnedClient(
            timeout_seconds=timeout, trusted_origins=self._trusted, resolver=self._resolver
        ) as client:
            for start, part in parts_of(samples, self.longest_seconds):
                audio = await asyncio.to_thread(encoded, part)
                heard = await self._heard(client, audio, language)
                languages.append(heard.language)
                words += [Word(w.start + start, w.end + start, w.text) for w in heard.words]
        found = max(languages, key=languages.count) if languages else language or "und"
        return Heard(found, tuple(words))

    @abstractmethod
    async def _heard(self, client: PinnedClient, audio: bytes, language: str | None) -> Heard:
        """The words of one piece of Ogg Opus, mono."""

    @abstractmethod
    def _authorization(self, key: str) -> str:
        """The value of the `Authorization` header."""

    def _reason(self, body: Mapping[str, Any]) -> str:
        """What the provider says is wrong."""
        return str(body.get("error") or body.get("message") or "")

    @property
    def seconds_left(self) -> float:
        return self._until - self._clock.monotonic()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the time given to the recording.

        Raises:
            ProviderAway: that time is over.
        """
        if self.seconds_left <= seconds:
            raise self.too_slow()
        await self._clock.sleep(seconds)

    def too_slow(self) -> ProviderAway:
        return ProviderAway(
            f"{self.title} did not transcribe the recording within {self._seconds:g} s "
            "(MEETBOT_TRANSCRIPTION__DEADLINE_SECONDS)."
        )

    async def ask(
        self,
        client: PinnedClient,
        shape: type[Shape],
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        content_type: str | None = None,
    ) -> Shape:
        """One request of the provider's API; what may pass is tried again.

        Raises:
            ProviderFailed: refused, or answered in another form than the documented one.
            ProviderAway: away, overloaded, or out of time.
        """
        headers = {
            "authorization": self._authorization(self._key.get_secret_value()),
            "accept": "application/json",
            # Compressed, a small answer could become a huge one.
            "accept-encoding": "identity",
            "user-agent": "meetbot-transcription/1",
        }
        if content_type is not None:
            headers["content-type"] = content_type
        for attempt in range(1, MOST_ATTEMPTS + 1):
            wait = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
            try:
                answer = await self._once(client, method, f"{self._base}{path}", headers, content)
            except ProviderAway:
                if attempt == MOST_ATTEMPTS:
                    raise
            else:
                if not isinstance(answer, _Refusal):
                    return self._parsed(shape, answer)
                if answer.status not in PASSING or attempt == MOST_ATTEMPTS:
                    raise self._refused(answer)
                if answer.retry_after is not None:
                    wait = min(max(answer.retry_after, wait), LONGEST_PAUSE)
            await self.pause(wait)
        raise self.too_slow()

    async def _once(
        self,
        client: PinnedClient,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> bytes | _Refusal:
        try:
            async with client.sending(method, url, headers, content) as response:
                if response.is_redirect:
                    raise ProviderFailed(f"{self.title} redirects. {REDIRECTED}")
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MOST_ANSWER_BYTES:
                        raise ProviderFailed(f"{self.title} answered with more than 64 MiB.")
        except ResolverFailed as error:
            raise ProviderAway(f"{self.title} could not be reached: {error.message}") from error
        except BadInput as error:
            raise ProviderFailed(f"{self.title} is not connected to: {error.message}") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderAway(
                f"{self.title} could not be reached: {type(error).__name__}."
            ) from error
        if response.is_success:
            return bytes(body)
        return _Refusal(response.status_code, bytes(body), _seconds(response))

    def _parsed(self, shape: type[Shape], body: bytes) -> Shape:
        try:
            return shape.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "its body"
            raise ProviderFailed(
                f"{self.title} answered in a form that is not its documented one "
                f"({where}: {first['msg']}). Check baseUrl of {SET_A_KEY}."
            ) from None

    def _refused(self, answer: _Refusal) -> ProviderFailed:
        said = f"{answer.status}{self._said(answer.body)}"
        match answer.status:
            case 401 | 403:
                text = f"refused the API key ({said}). Store a valid one with {SET_A_KEY}."
            case 402:
                text = f"wants to be paid ({said}). Add credit to the account with it."
            case 404:
                text = f"does not know the address or the model ({said}). Check {SET_A_KEY}."
            case 413:
                text = f"takes no audio of this size ({said})."
            case 429:
                return ProviderAway(
                    f"{self.title} takes no more requests now ({said}). Check the limits and the "
                    "credit of the account with it, and transcribe again."
                )
            case status if status in PASSING:
                return ProviderAway(f"{self.title} failed ({said}). Transcribe again later.")
            case _:
                text = f"refused the request ({said}). Check the model and the language."
        return ProviderFailed(f"{self.title} {text}")

    def _said(self, body: bytes) -> str:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        reason = self._reason(found) if isinstance(found, dict) else ""
        # Some providers quote the key.
        hidden = reason.replace(self._key.get_secret_value(), "…")
        return f": {plain_text(hidden, LONGEST_REASON)}" if hidden else ""


def spaced(words: Iterator[tuple[float, float, str]], language: str) -> tuple[Word, ...]:
    """Words as they are joined to a text: with a space before each, where the language has them."""
    space = "" if language in UNSPACED else " "
    return tuple(Word(start, max(end, start), f"{space}{text}") for start, end, text in words)


def _seconds(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds; its other form is not used by these providers."""
    try:
        return max(float(response.headers["retry-after"]), 0)
    except (KeyError, ValueError):
        return None

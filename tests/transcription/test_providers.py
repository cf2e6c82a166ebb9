"""The customer's provider: right requests, right words, and errors that say what to do (AR-10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from core.clock import SystemClock
from core.errors import ProviderAway, ProviderFailed
from core.settings import Settings
from core.transcripts.settings import PROVIDERS, Provider, ProviderAccess
from tests.support.api_server import running_api
from tests.support.ports import free_port
from tests.support.providers import KEY, providers_app
from tests.support.providers import Provider as StandIn
from tests.support.speech import Said, write_track
from transcription import audio
from transcription.engine import SAMPLE_RATE, Heard, Samples, Word
from transcription.engines.choosing import PROVIDERS as ENGINES
from transcription.engines.choosing import create_engine
from transcription.engines.languages import code_of, primary
from transcription.engines.provider import ProviderEngine
from transcription.engines.whisper import WhisperEngine
from transcription.transcript import SpeakerTrack, transcribe

pytestmark = pytest.mark.integration

# Where the stand-in has what each provider has at its own address.
BASES = {"assemblyai": "", "deepgram": "", "whisper": "/v1"}


class HastyClock(SystemClock):
    """Nothing is waited for; time passes all the same."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Site:
    origin: str
    provider: StandIn
    clock: HastyClock = field(default_factory=HastyClock)

    def engine(self, name: Provider, **more: Any) -> ProviderEngine:
        """Of a team with the stand-in's key; `more` is what is different."""
        access = ProviderAccess(
            name,
            SecretStr(more.pop("key", KEY)),
            more.pop("base_url", f"{self.origin}{BASES[name]}"),
            more.pop("model", None),
        )
        usual: dict[str, Any] = {
            "seconds": 600,
            "trusted_origins": (self.origin,),
            "clock": self.clock,
        }
        return ENGINES[name](access, **(usual | more))

    async def words(
        self, name: Provider, samples: Samples, language: str | None = None, **more: Any
    ) -> Heard:
        engine = self.engine(name, **more)
        return await asyncio.to_thread(engine.words, samples, language)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    provider = StandIn()
    async with running_api(providers_app(provider)) as origin:
        yield Site(origin, provider)


def tone(seconds: float) -> Samples:
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_words_come_with_their_times_and_punctuation(site: Site, name: Provider) -> None:
    heard = await site.words(name, tone(2))
    assert heard == Heard("en", (Word(0.1, 0.4, " Hello,"), Word(0.5, 0.9, " Ada.")))
    assert site.provider.heard_seconds == [pytest.approx(2, abs=0.1)]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("assemblyai", {"language_code": "de_ch", "speech_models": ["best-of-all"]}),
        ("deepgram", {"language": "de-CH", "model": "best-of-all"}),
        ("whisper", {"language": "de", "model": "best-of-all"}),
    ],
)
async def test_language_and_model_are_asked_for_as_the_provider_has_them(
    site: Site, name: Provider, asked: dict[str, Any]
) -> None:
    await site.words(name, tone(1), "de-CH", model="best-of-all")
    (sent,) = site.provider.asked
    assert {key: sent[key] for key in asked} == asked


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_bad_key_is_told_so_and_never_quoted(site: Site, name: Provider) -> None:
    with pytest.raises(ProviderFailed, match="refused the API key") as caught:
        await site.words(name, tone(1), key="sk-wrong-secret")
    assert "/api/v1/settings/transcription" in caught.value.message
    assert "sk-wrong-secret" not in caught.value.message
    assert not caught.value.retryable
    assert site.clock.slept == []


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_tried_again(site: Site, name: Provider, status: int) -> None:
    site.provider.faults = [status, status]
    site.provider.polls = 0
    assert (await site.words(name, tone(1))).words
    assert site.clock.slept[:2] == [1.0, 2.0]


async def test_a_provider_says_how_long_to_wait(site: Site) -> None:
    site.provider.faults, site.provider.headers = [429, 429], {"retry-after": "7"}
    await site.words("deepgram", tone(1))
    assert site.clock.slept == [7.0, 7.0]


@pytest.mark.parametrize(
    ("status", "words", "retryable"),
    [
        (400, "Check the model and the language", False),
        (402, "wants to be paid", False),
        (404, "does not know the address or the model", False),
        (413, "takes no audio of this size", False),
        (429, "takes no more requests now", True),
        (500, "Transcribe again later", True),
    ],
)
async def test_every_refusal_says_what_to_do(
    site: Site, status: int, words: str, retryable: bool
) -> None:
    site.provider.faults = [status] * 4
    with pytest.raises(ProviderFailed, match=words) as caught:
        await site.words("deepgram", tone(1))
    assert caught.value.retryable is retryable
    assert len(site.provider.faults) == (0 if retryable else 3)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_answer_of_something_else_is_told(site: Site, name: Provider) -> None:
    site.provider.garbled = True
    with pytest.raises(ProviderFailed, match=r"not its documented one.*baseUrl"):
        await site.words(name, tone(1))


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_that_is_away_may_come_back(site: Site, name: Provider) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ProviderAway, match="could not be reached"):
        await site.words(name, tone(1), base_url=nobody, trusted_origins=(nobody,))
    assert site.clock.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_address_inside_is_not_connected_to(site: Site, name: Provider) -> None:
    """CV-16: also when it was stored while it was trusted."""
    with pytest.raises(ProviderFailed, match="https"):
        await site.words(name, tone(1), trusted_origins=())
    assert site.provider.heard_seconds == []


async def test_polling_ends_with_the_time_of_the_recording(site: Site) -> None:
    site.provider.polls = 10_000
    with pytest.raises(ProviderAway, match="within 60 s"):
        await site.words("assemblyai", tone(1), seconds=60)
    assert 45 < sum(site.clock.slept) <= 60
    assert max(site.clock.slept) <= 10


async def test_a_track_without_speech_is_no_failure(site: Site) -> None:
    site.provider.failed = "language_detection cannot be performed on files with no spoken audio."
    assert (await site.words("assemblyai", tone(1))).words == ()
    site.provider.failed = "Transcoding failed"
    with pytest.raises(ProviderFailed, match="Transcoding failed"):
        await site.words("assemblyai", tone(1))
    site.provider.spoken = ()
    others: tuple[Provider, ...] = ("deepgram", "whisper")
    for name in others:
        assert (await site.words(name, tone(1))).words == ()


async def test_servers_without_words_give_segments(site: Site) -> None:
    """Not all servers that speak OpenAI's protocol know the times of words."""
    site.provider.without = "words"
    heard = await site.words("whisper", tone(1))
    assert heard.words == (Word(0.1, 0.9, " Hello, Ada."),)
    site.provider.without = "segments"
    heard = await site.words("whisper", tone(1))
    assert [word.text for word in heard.words] == [" Hello", " Ada"]


async def test_long_speech_goes_in_parts_that_are_cut_where_it_is_quiet(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ENGINES["whisper"], "longest_seconds", 4.0)
    samples = np.concatenate([tone(3), np.zeros(SAMPLE_RATE // 2, np.float32), tone(3)])
    heard = await site.words("whisper", samples)
    starts = [word.start for word in heard.words if word.text == " Hello,"]
    assert starts[0] == pytest.approx(0.1)
    assert 3.1 <= starts[1] <= 3.6
    assert sum(site.provider.heard_seconds) == pytest.approx(6.5, abs=0.2)


async def test_speakers_are_transcribed_apart_and_merged_by_time(
    site: Site, tmp_path: Path
) -> None:
    """AR-10: only talk time is sent, and times are those of the meeting."""
    tracks = []
    for label, at in (("A", 100.0), ("B", 40.0)):
        path = tmp_path / f"{label}.ogg"
        speech = write_track(path, [Said("ada-risk", at)], seconds=180)
        tracks.append(
            SpeakerTrack(path, f"prt_{label}", label, f"Speaker {label}", 180_000, speech)
        )
    engine = site.engine("deepgram")
    made = await asyncio.to_thread(transcribe, "job_x", tracks, engine)
    assert [(s.speaker_label, round(s.start)) for s in made.segments] == [("B", 40), ("A", 100)]
    assert (made.provider, made.model, made.language) == ("deepgram", "nova-3", "en")
    assert made.segments[0].text == "Hello, Ada."
    assert sum(site.provider.heard_seconds) < 20


def test_sound_is_found_where_it_is(tmp_path: Path) -> None:
    """For recordings whose journal is gone."""
    path = tmp_path / "a.ogg"
    said = write_track(path, [Said("ada-risk", 20), Said("ben-help", 50)], seconds=90)
    found = audio.audible_spans(path)
    assert found
    for span in found:
        assert any(
            one.start_ms - 500 <= span.start_ms and span.end_ms <= one.end_ms + 1000 for one in said
        ), span
    heard = sum(span.end_ms - span.start_ms for span in found)
    assert heard > 0.5 * sum(one.end_ms - one.start_ms for one in said)


def test_the_engine_is_the_one_that_was_asked_for() -> None:
    settings = Settings()
    assert isinstance(create_engine(None, settings), WhisperEngine)
    for name in PROVIDERS:
        made = create_engine(ProviderAccess(name, SecretStr("k")), settings)
        assert isinstance(made, ENGINES[name])
        assert made._base.startswith("https://api.")


@pytest.mark.parametrize(
    ("said", "code"), [("english", "en"), ("de", "de"), ("pt-BR", "pt"), ("klingon?", "und")]
)
def test_languages_are_codes(said: str, code: str) -> None:
    assert code_of(said) == code
    assert primary("EN_us") == "en"

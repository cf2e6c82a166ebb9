"""Stand-ins for the providers of transcripts, over HTTP, in the formats that they document.

Requests and answers are held against the published types of the providers' own packages: what
those do not know is refused, as malformed audio is.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import av
from assemblyai.types import TranscriptRequest, TranscriptResponse
from deepgram.listen.v1.media.raw_client import RawMediaClient
from deepgram.types.listen_v1response import ListenV1Response
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from openai.types.audio import TranscriptionVerbose
from openai.types.audio.transcription_create_params import TranscriptionCreateParamsNonStreaming

KEY: Final = "the-key-of-the-team"
LARGEST_FILE: Final = 25_000_000
DEEPGRAM_QUERY: Final = frozenset(inspect.signature(RawMediaClient.transcribe_file).parameters) - {
    "self",
    "request",
    "request_options",
}
OPENAI_FIELDS: Final = frozenset(TranscriptionCreateParamsNonStreaming.__annotations__) | frozenset(
    name
    for base in TranscriptionCreateParamsNonStreaming.__orig_bases__  # type: ignore[attr-defined]
    for name in getattr(base, "__annotations__", {})
)

Spoken = tuple[tuple[str, float, float], ...]


@dataclass
class Provider:
    """What it understands of every file, and what it does wrong.

    `faults` are statuses that are answered first, one by one; `polls` is how often AssemblyAI says
    that it is still at work; `without` leaves a part out of the Whisper API's answers.
    """

    spoken: Spoken = (("Hello,", 0.1, 0.4), ("Ada.", 0.5, 0.9))
    language: str = "en"
    faults: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    polls: int = 2
    failed: str | None = None
    without: str | None = None
    garbled: bool = False
    # What was asked, and how many seconds of audio came.
    asked: list[dict[str, Any]] = field(default_factory=list)
    heard_seconds: list[float] = field(default_factory=list)
    _files: list[bytes] = field(default_factory=list)
    _states: dict[str, int] = field(default_factory=dict)

    def fault(self) -> JSONResponse | None:
        if not self.faults:
            return None
        return JSONResponse({}, self.faults.pop(0), headers=self.headers)

    def listen(self, audio: bytes) -> str | None:
        """Note how long the audio is; what is wrong with it."""
        try:
            with av.open(io.BytesIO(audio), "r") as container:
                codec = container.streams.audio[0].codec_context.name
                if container.format.name != "ogg" or codec not in ("opus", "libopus"):
                    return f"{container.format.name} {codec}"
                frames = [frame.samples / frame.sample_rate for frame in container.decode(audio=0)]
        except (av.FFmpegError, IndexError) as error:
            return str(error)
        self.heard_seconds.append(float(sum(frames)))
        return None


def providers_app(provider: Provider) -> FastAPI:
    """All three under their own paths."""
    app = FastAPI()
    app.post("/v2/upload")(_checked(provider, KEY, _upload, "error"))
    app.post("/v2/transcript")(_checked(provider, KEY, _create, "error"))
    app.get("/v2/transcript/{id}")(_checked(provider, KEY, _poll, "error"))
    app.post("/v1/listen")(_checked(provider, f"Token {KEY}", _listen, "err_msg"))
    app.post("/v1/audio/transcriptions")(_checked(provider, f"Bearer {KEY}", _transcribe, "openai"))
    return app


Handler = Callable[[Provider, Request, Callable[[int, str], Response]], Awaitable[Response]]


def _checked(
    provider: Provider, authorization: str, handle: Handler, shape: str
) -> Callable[[Request], Awaitable[Response]]:
    def refuse(status: int, why: str) -> Response:
        if shape == "openai":
            return JSONResponse(
                {"error": {"message": why, "type": "invalid_request_error"}}, status
            )
        return JSONResponse({shape: why}, status)

    async def answer(request: Request) -> Response:
        sent = request.headers.get("authorization", "")
        if sent != authorization:
            return refuse(401, f"Incorrect API key provided: {sent.split(' ')[-1]}")
        fault = provider.fault()
        if fault is not None:
            return fault
        if provider.garbled:
            return Response("<html>It works!</html>", media_type="text/html")
        return await handle(provider, request, refuse)

    return answer


async def _upload(
    provider: Provider, request: Request, refuse: Callable[[int, str], Response]
) -> Response:
    if request.headers.get("content-type") != "application/octet-stream":
        return refuse(400, "Send the file as application/octet-stream")
    wrong = provider.listen(audio := await request.body())
    if wrong:
        return refuse(422, f"File does not appear to contain audio: {wrong}")
    provider._files.append(audio)
    url = f"https://cdn.assemblyai.com/upload/{len(provider._files)}"
    return JSONResponse({"upload_url": url})


async def _create(
    provider: Provider, request: Request, refuse: Callable[[int, str], Response]
) -> Response:
    body = await request.json()
    unknown = set(body) - set(TranscriptRequest.model_fields)
    if unknown or not body.get("speech_models"):
        return refuse(400, f"Invalid endpoint schema: {unknown or 'speech_models is required'}")
    wish = TranscriptRequest.model_validate(body)
    if not wish.audio_url.startswith("https://cdn.assemblyai.com/upload/"):
        return refuse(400, "Only uploaded files here")
    if bool(wish.language_detection) == (wish.language_code is not None):
        return refuse(400, "Either language_code or language_detection")
    provider.asked.append(body)
    number = f"transcript-{len(provider.asked)}"
    provider._states[number] = provider.polls
    return JSONResponse({"id": number, "status": "queued", "audio_url": wish.audio_url})


async def _poll(
    provider: Provider, request: Request, refuse: Callable[[int, str], Response]
) -> Response:
    number = request.path_params["id"]
    if number not in provider._states:
        return refuse(404, "Transcript lookup error, transcript id not found")
    provider._states[number] -= 1
    found: dict[str, Any] = {"id": number, "audio_url": "https://cdn.assemblyai.com/upload/1"}
    if provider._states[number] >= 0:
        return JSONResponse(found | {"status": "processing"})
    if provider.failed is not None:
        return JSONResponse(found | {"status": "error", "error": provider.failed})
    words = [
        {"text": text, "start": round(start * 1000), "end": round(end * 1000), "confidence": 0.9}
        for text, start, end in provider.spoken
    ]
    found |= {"status": "completed", "words": words, "language_code": f"{provider.language}_us"}
    TranscriptResponse.model_validate(found)
    return JSONResponse(found)


async def _listen(
    provider: Provider, request: Request, refuse: Callable[[int, str], Response]
) -> Response:
    query = dict(request.query_params)
    unknown = set(query) - DEEPGRAM_QUERY
    if unknown or ("language" in query) == ("detect_language" in query):
        return refuse(400, f"Bad Request: {unknown or 'language'}")
    wrong = provider.listen(await request.body())
    if wrong or request.headers.get("content-type") != "audio/ogg":
        return refuse(400, f"corrupt or unsupported data: {wrong}")
    provider.asked.append(query)
    words = [
        {
            "word": "".join(c for c in text.lower() if c.isalnum()),
            "punctuated_word": text,
            "start": start,
            "end": end,
            "confidence": 0.9,
        }
        for text, start, end in provider.spoken
    ]
    text = " ".join(spoken[0] for spoken in provider.spoken)
    channel: dict[str, Any] = {
        "alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]
    }
    if "detect_language" in query:
        channel["detected_language"] = provider.language
    found = {
        "metadata": {
            "request_id": "a3a1f3c8-61a6-4ac0-9d4e-000000000000",
            "sha256": "0" * 64,
            "created": "2026-05-09T14:00:00.000Z",
            "duration": provider.heard_seconds[-1],
            "channels": 1,
            "models": ["30089e05-99d1-4376-b32e-c263170674af"],
            "model_info": {},
        },
        "results": {"channels": [channel]},
    }
    ListenV1Response.model_validate(found)
    return JSONResponse(found)


async def _transcribe(
    provider: Provider, request: Request, refuse: Callable[[int, str], Response]
) -> Response:
    form = await request.form()
    names = {name.removesuffix("[]") for name in form}
    if names - OPENAI_FIELDS or not {"file", "model"} <= names:
        return refuse(400, f"Unknown parameter: {names - OPENAI_FIELDS}")
    file = form["file"]
    if isinstance(file, str) or not (file.filename or "").endswith(".ogg"):
        return refuse(400, "Unrecognized file format")
    audio = await file.read()
    if len(audio) > LARGEST_FILE:
        return refuse(413, "Maximum content size limit exceeded")
    wrong = provider.listen(audio)
    if wrong:
        return refuse(400, f"Audio file might be corrupted or unsupported: {wrong}")
    if form["response_format"] != "verbose_json" or len(str(form.get("language", "en"))) != 2:
        return refuse(400, "Invalid response_format or language")
    granularities = form.getlist("timestamp_granularities[]")
    provider.asked.append({"model": form["model"], "language": form.get("language")})
    segment = {
        "id": 0,
        "seek": 0,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 1.2,
        "no_speech_prob": 0.01,
        "start": provider.spoken[0][1] if provider.spoken else 0.0,
        "end": provider.spoken[-1][2] if provider.spoken else 0.0,
        "text": "".join(f" {text}" for text, _, _ in provider.spoken),
    }
    found: dict[str, Any] = {
        "task": "transcribe",
        "language": "english" if provider.language == "en" else provider.language,
        "duration": provider.heard_seconds[-1],
        "text": str(segment["text"]).strip(),
        "segments": [segment] if provider.spoken else [],
        "words": [
            {"word": text.strip(".,"), "start": start, "end": end}
            for text, start, end in provider.spoken
        ],
    }
    TranscriptionVerbose.model_validate(found)
    if provider.without is not None or granularities != ["word", "segment"]:
        found.pop(provider.without or "words")
    return JSONResponse(found)

"""Every kind of page: how its sound is taken, and that the page itself notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bot.capture.attribution import Source, TrackAssignment
from bot.recording.finalize import finalize
from core.jobs.failures import ExitReason
from core.jobs.spec import RecordingOptions
from core.recordings.recording import MediaFile, Participant, Recording
from tests.bot.capture.conftest import Call, Calls
from tests.bot.listening import RATE, decode, part, strength, tone_share

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(90)]

AUDIO_ONLY = RecordingOptions(video="off")
TAB = RecordingOptions(video="tab", fps=10)
TONE = 523.0
# A page whose frames are broken conceals 56 % and more; a busy machine a
# few per cent.
BROKEN = 0.25


async def connect(call: Call, **options: Any) -> dict[str, str]:
    """Start recording and a call of one sender, Ann; the ids of the received tracks."""
    await call.recorder.start()
    wanted = {"frequency": TONE, **options}
    ids: dict[str, str] = await call.page.evaluate("(options) => call(options)", wanted)
    ann = Participant("prt_ann", "p1", "Ann", "A")
    call.recorder.joined(ann, call.recorder.now_ms())
    for kind, track_id in ids.items():
        source: Source = "microphone" if kind == "audio" else options.get("source", "camera")
        call.recorder.assign(
            TrackAssignment(track_id, "prt_ann", source, "track-owner", "track", 1.0)
        )
    return ids


async def finish(call: Call) -> Recording:
    await call.recorder.stop(ExitReason.LEAVE_REQUESTED)
    return await asyncio.to_thread(finalize, call.work_dir)


async def inbound(call: Call, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = await call.page.evaluate("(kind) => inbound(kind)", kind)
    return found


async def until(true: Callable[[], bool], seconds: float = 15) -> None:
    for _ in range(round(seconds * 20)):
        if true():
            return
        await asyncio.sleep(0.05)
    pytest.fail("did not happen in time")


async def record_tone(call: Call, seconds: float, **options: Any) -> MediaFile:
    """The file of a call that ran for a while; the tone in it is checked."""
    await connect(call, **options)
    await until(lambda: call.recorder.media_captured.is_set())
    await asyncio.sleep(seconds)
    recording = await finish(call)
    (file,) = [file for file in recording.media if file.kind == "per-speaker"]
    sound = decode(file.path)
    middle = part(sound, file.end_offset_ms - seconds * 1000 + 500, file.end_offset_ms - 700)
    assert strength(middle, TONE) > -25
    assert strength(middle, TONE * 1.5) < -60
    assert call.errors == []
    return file


async def test_a_plain_page_is_taken_encoded_and_plays_on(calls: Calls) -> None:
    """PL-09; with tab video, people hear the page, so nothing of it is replaced."""
    call = await calls.open(TAB)
    await record_tone(call, 3)
    statistics = await inbound(call, "audio")
    assert statistics["concealedSamples"] < BROKEN * statistics["totalSamplesReceived"]
    assert statistics["totalAudioEnergy"] > 0.01
    assert call.recorder.intake.alarms == []


async def test_audio_only_hands_the_decoder_silence_and_still_records(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    await record_tone(call, 3)
    statistics = await inbound(call, "audio")
    assert statistics["totalAudioEnergy"] < 1e-6
    assert statistics["concealedSamples"] < BROKEN * statistics["totalSamplesReceived"]


async def test_sound_that_is_never_played_is_recorded(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    await record_tone(call, 2, mute=True)
    assert (await inbound(call, "audio"))["totalSamplesReceived"] == 0


async def test_redundant_audio_is_unwrapped(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    await record_tone(call, 3, red=True)
    assert set(call.recorder.intake.codecs) == {"red"}


async def test_the_level_is_known_where_the_sender_says_it(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    await connect(call)
    await until(lambda: call.recorder.media_captured.is_set())
    (ann,) = call.recorder.progress().participants
    assert ann.level == pytest.approx(0.3 / np.sqrt(2), abs=0.05)
    last_voice = call.recorder.last_voice_at_ms()
    assert last_voice is not None
    assert call.recorder.now_ms() - last_voice < 3000
    await finish(call)


async def test_a_page_with_its_own_script_transform_is_recorded_decoded(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    await record_tone(call, 4, e2ee="script")
    assert [alarm.reason for alarm in call.recorder.intake.alarms] == ["fallback"]
    statistics = await inbound(call, "audio")
    assert statistics["totalAudioEnergy"] > 0.01


async def test_a_page_with_legacy_streams_is_tapped_behind_its_own_transform(calls: Calls) -> None:
    """Neither ciphertext on our side nor trouble on the page's."""
    call = await calls.open(TAB)
    await record_tone(call, 3, e2ee="legacy")
    statistics = await inbound(call, "audio")
    assert statistics["concealedSamples"] < BROKEN * statistics["totalSamplesReceived"]
    assert statistics["totalAudioEnergy"] > 0.01
    assert call.recorder.intake.alarms == []


async def test_a_track_without_frames_is_an_alarm_and_no_silent_loss(calls: Calls) -> None:
    """A page that asked for legacy streams and never took them: packets come, frames do not."""
    call = await calls.open(AUDIO_ONLY)
    await connect(call, e2ee="legacy-unused")
    await until(lambda: len(call.recorder.intake.alarms) == 2)
    assert [alarm.reason for alarm in call.recorder.intake.alarms] == ["no-frames", "fallback"]
    await finish(call)


async def test_strict_content_security_and_trusted_types_do_not_stop_it(calls: Calls) -> None:
    policy = "default-src 'self'; worker-src 'none'; require-trusted-types-for 'script'"
    call = await calls.open(AUDIO_ONLY, headers={"content-security-policy": policy})
    await record_tone(call, 2)
    assert call.recorder.intake.alarms == []


async def test_the_pages_own_view_of_the_api_is_unchanged(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    seen = await call.page.evaluate(
        """() => {
          class Mine extends RTCPeerConnection { extra() { return 7; } }
          const mine = new Mine();
          const receiver = mine.addTransceiver('audio').receiver;
          return [mine instanceof RTCPeerConnection, mine.extra(), RTCPeerConnection.name,
            typeof RTCPeerConnection.generateCertificate, receiver.transform,
            mine.constructor === Mine, new RTCPeerConnection().constructor === RTCPeerConnection];
        }"""
    )
    assert seen == [True, 7, "RTCPeerConnection", "function", None, True, True]


@pytest.mark.parametrize("codec", ["video/vp8", "video/vp9", "video/h264", "video/av1"])
async def test_canned_frames_keep_the_decoder_going_and_ask_nobody_for_key_frames(
    calls: Calls, codec: str
) -> None:
    """D6: the page sees a tiny moving picture; no picture loss is reported."""
    call = await calls.open(AUDIO_ONLY)
    await connect(call, video=codec)
    await watch_canned_frames(call)


@pytest.mark.parametrize("codec", ["video/vp9", "video/av1"])
async def test_canned_frames_replace_every_layer_of_a_picture(calls: Calls, codec: str) -> None:
    """D6: what a decoder gets in one piece are two canned frames then."""
    call = await calls.open(AUDIO_ONLY)
    await connect(call, video=codec, width=640, height=360, layers="L2T1")
    await watch_canned_frames(call)
    sent = await call.page.evaluate("outbound('video')")
    assert sent["scalabilityMode"] == "L2T1"


async def watch_canned_frames(call: Call) -> None:
    await asyncio.sleep(3)
    statistics = await inbound(call, "video")
    assert statistics["frameWidth"] == 16
    assert statistics["framesDecoded"] >= 30
    assert statistics["framesDropped"] <= 2
    assert (statistics["pliCount"], statistics.get("firCount", 0)) == (0, 0)
    assert call.errors == []
    await finish(call)


@pytest.mark.parametrize(
    ("codec", "container", "mime_type"),
    [
        ("video/vp8", "webm", "video/webm"),
        ("video/vp9", "webm", "video/webm"),
        ("video/av1", "webm", "video/webm"),
        ("video/h264", "mkv", "video/x-matroska"),
    ],
)
async def test_video_is_passed_through_as_it_was_sent(
    calls: Calls, codec: str, container: str, mime_type: str
) -> None:
    """`recording.video = participants`: the sender's own frames, though nothing is decoded."""
    call = await calls.open(RecordingOptions(video="participants"))
    await connect(call, video=codec)
    await asyncio.sleep(4)
    assert (await inbound(call, "video"))["frameWidth"] == 16
    recording = await finish(call)
    (file,) = [file for file in recording.media if file.kind == "participant-video"]
    assert (file.name, file.mime_type) == (f"video.prt_ann.{container}", mime_type)
    pictures = frames_of(file.path)
    assert len(pictures) >= 50
    assert {(width, height) for width, height, _ in pictures} == {(320, 180)}
    last = pictures[-1][2]
    assert last == pytest.approx((file.end_offset_ms - file.start_offset_ms) / 1000, abs=0.1)


async def test_a_shared_screen_is_recorded_and_a_camera_is_not(calls: Calls) -> None:
    call = await calls.open(RecordingOptions(video="screenshare"))
    await connect(call, video="video/vp8", source="screen")
    await asyncio.sleep(3)
    recording = await finish(call)
    (share,) = [file for file in recording.media if file.kind != "per-speaker"]
    assert (share.name, share.kind, share.participant_id) == (
        "screenshare.webm", "screenshare", "prt_ann",
    )  # fmt: skip
    assert len(frames_of(share.path)) >= 30
    other = await calls.open(RecordingOptions(video="screenshare"))
    await connect(other, video="video/vp8", source="camera")
    await asyncio.sleep(1)
    before = other.recorder.intake.codecs["vp8"]
    await asyncio.sleep(1.5)
    # Told that it is a camera, the page keeps its frames to itself.
    assert other.recorder.intake.codecs["vp8"] == before
    assert {file.kind for file in (await finish(other)).media} == {"per-speaker"}


async def test_the_tab_is_recorded_with_picture_and_sound(calls: Calls) -> None:
    """PL-10; an audio track proves nothing, so its loudness is measured."""
    call = await calls.open(TAB)
    await connect(call, video="video/vp8")
    await asyncio.sleep(5)
    recording = await finish(call)
    (tab,) = [file for file in recording.media if file.kind == "tab-video"]
    assert (tab.name, tab.mime_type) == ("tab.webm", "video/webm")
    pictures = frames_of(tab.path)
    length = pictures[-1][2]
    assert length == pytest.approx((tab.end_offset_ms - tab.start_offset_ms) / 1000, abs=1)
    assert 5 <= len(pictures) / length <= 11
    sound = decode(tab.path)
    heard = part(sound, len(sound) * 1000 / RATE - 2500, len(sound) * 1000 / RATE - 500)
    assert tone_share(heard, TONE) > 0.5
    assert tone_share(heard, TONE * 1.5) == 0


def frames_of(path: Path) -> list[tuple[int, int, float]]:
    """Width, height and second of every picture, all of them decoded."""
    with av.open(str(path)) as container:
        return [
            (frame.width, frame.height, float(frame.time or 0))
            for frame in container.decode(video=0)
        ]


async def test_the_tab_is_not_recorded_twice_and_ends_in_order(calls: Calls) -> None:
    call = await calls.open(TAB)
    await call.recorder.start()
    await call.recorder.stop(ExitReason.LEAVE_REQUESTED)
    await call.recorder.stop(ExitReason.LEAVE_REQUESTED)
    recording = await asyncio.to_thread(finalize, call.work_dir)
    assert recording.exit_reason is ExitReason.LEAVE_REQUESTED


async def test_a_page_that_dies_leaves_what_was_recorded(calls: Calls) -> None:
    call = await calls.open(AUDIO_ONLY)
    await connect(call)
    await until(lambda: call.recorder.media_captured.is_set())
    await asyncio.sleep(2)
    died = call.recorder.now_ms()
    await call.page.context.close()
    await call.recorder.stop(ExitReason.NETWORK_LOSS)
    recording = await asyncio.to_thread(finalize, call.work_dir)
    (file,) = recording.media
    started = recording.started_at.timestamp() * 1000
    spans = [span.end_ms for span in file.speech]
    assert max(spans) >= died - started - 2000
    assert len(decode(file.path)) / RATE * 1000 == pytest.approx(file.end_offset_ms, abs=100)

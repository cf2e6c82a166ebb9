"""What `page/canned.json` holds, as a decoder takes it."""

from __future__ import annotations

import base64
import json
from itertools import chain, cycle, islice
from typing import Final

import av
import pytest
from av.video.codeccontext import VideoCodecContext

from bot.capture.frames import CODECS
from bot.capture.generate_canned import SIZE, TARGET

CANNED: Final = json.loads(TARGET.read_text(encoding="utf-8"))
DECODERS: Final = {
    "video/VP8": "vp8",
    "video/VP9": "vp9",
    "video/H264": "h264",
    "video/AV1": "libdav1d",
}


def test_every_video_codec_that_is_taken_has_canned_frames() -> None:
    """D6."""
    assert {mime.removeprefix("video/").lower() for mime in CANNED} == set(CODECS) - {"opus", "red"}


@pytest.mark.parametrize("mime", DECODERS)
def test_each_canned_frame_is_a_picture_however_often_it_comes(mime: str) -> None:
    """D6: a decoder that misses one picture asks for a key frame."""
    key = base64.b64decode(CANNED[mime]["key"])
    deltas = [base64.b64decode(delta) for delta in CANNED[mime]["deltas"]]
    decoder = av.CodecContext.create(DECODERS[mime], "r")
    assert isinstance(decoder, VideoCodecContext)
    turns = chain([key], islice(cycle(deltas), 300), [key], islice(cycle(deltas), 300))
    pictures = [picture for frame in turns for picture in decoder.decode(av.Packet(frame))]
    pictures += decoder.decode(None)
    assert [(picture.width, picture.height) for picture in pictures] == [(SIZE, SIZE)] * 602

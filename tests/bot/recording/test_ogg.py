"""Ogg Opus files: what other programs make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.recording.ogg import (
    SAMPLE_RATE,
    OggOpusMuxer,
    packet_samples,
    page_checksum,
    scan_pages,
    silence,
)
from tests.bot.listening import decibels, decode, part, strength
from tests.bot.synthetic import FRAME, opus

pytestmark = pytest.mark.media


def _reference_checksum(page: bytes) -> int:
    """The definition, bit by bit."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
            value &= 0xFFFFFFFF
    return value


@given(st.binary(max_size=300))
def test_the_checksum_is_the_one_of_ogg(page: bytes) -> None:
    assert page_checksum(page) == _reference_checksum(page)


@given(st.integers(0, 3_000_000))
def test_silence_is_as_long_as_asked_for_to_2_5_ms(samples: int) -> None:
    packets = list(silence(samples))
    assert all(packet_samples(packet) == duration for packet, duration in packets)
    assert 0 <= samples - sum(duration for _, duration in packets) < 120


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\xf8\xff\xfe", 960),
        (b"\xe0\x00", 120),
        (b"\x18\x00", 2880),
        (b"\x79\x00", 2 * 960),
        (b"\xfb\x06" + b"\xff\xfe" * 6, 5760),
        (b"\xfb", None),
        (b"", None),
        (b"\x1b\x04\x00", None),
    ],
)
def test_the_length_of_a_packet(packet: bytes, samples: int | None) -> None:
    assert packet_samples(packet) == samples


def test_sound_and_silence_decode_to_the_sample(tmp_path: Path) -> None:
    muxer = OggOpusMuxer(serial=5)
    muxer.add_silence(3 * SAMPLE_RATE + 5 * 120)
    for packet in opus(440, 2):
        muxer.add(packet, FRAME)
    muxer.finish(6 * SAMPLE_RATE + 17)
    path = tmp_path / "a.ogg"
    path.write_bytes(muxer.take())
    sound = decode(path)
    assert len(sound) == 6 * SAMPLE_RATE + 17
    assert decibels(part(sound, 0, 3012)) < -90
    assert strength(part(sound, 3100, 4900), 440) > -20
    assert decibels(part(sound, 5100, 6000)) < -80
    # The encoder looks 6.5 ms ahead.
    onset = float(np.argmax(np.abs(sound) > 0.02)) / 48
    assert onset == pytest.approx(3012.5 + 6.5, abs=2)


def test_a_file_without_an_end_plays_up_to_where_it_was_cut(tmp_path: Path) -> None:
    muxer = OggOpusMuxer(serial=5)
    for number, packet in enumerate(opus(440, 4)):
        muxer.add(packet, FRAME)
        if number % 25 == 24:
            muxer.flush()
    data = muxer.take()
    path = tmp_path / "cut.ogg"
    path.write_bytes(data[: len(data) * 3 // 4])
    assert len(decode(path)) / SAMPLE_RATE == pytest.approx(3, abs=0.6)


def test_scanning_stops_at_the_first_damaged_byte() -> None:
    muxer = OggOpusMuxer(serial=5)
    for packet in opus(440, 4):
        muxer.add(packet, FRAME)
        muxer.flush()
    data = bytearray(muxer.take())
    pages = list(scan_pages(bytes(data)))
    assert sum(page.size for page in pages) == len(data)
    data[pages[50].offset + 40] ^= 1
    assert len(list(scan_pages(bytes(data)))) == 50

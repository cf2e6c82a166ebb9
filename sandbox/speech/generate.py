"""Makes the speech files beside this module out of `library.json`. Run by developers only:

    python -m sandbox.speech.generate

Needs flite and ffmpeg. The files are committed, so that nobody else needs flite.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

HERE: Final = Path(__file__).parent
TIMEOUT_SECONDS: Final = 60
# Speech of ordinary loudness in a call; equal for all voices so that no speaker is favoured.
TARGET_RMS: Final = 10 ** (-21 / 20)
PEAK: Final = 10 ** (-2 / 20)
# Silence is cut off so that the first packet of a file is the first sound of the utterance.
SILENCE: Final = 10 ** (-42 / 20)
BITRATE: Final = "24k"


def _speak(text: str, voice: str, folder: Path) -> tuple[NDArray[np.float32], int]:
    """Mono samples in -1..1 and their rate in Hz."""
    target = folder / "speech.wav"
    subprocess.run(  # noqa: S603
        ["flite", "-voice", voice, "-t", text, "-o", str(target)],  # noqa: S607
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    with wave.open(str(target)) as sound:
        rate = sound.getframerate()
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    return (samples / 32768).astype(np.float32), rate


def _polish(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Cut the silence at both ends, level the loudness, fade 5 ms in and 20 ms out."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    start, end = max(0, loud[0] - rate // 200), min(len(samples), loud[-1] + rate // 25)
    cut = samples[start:end]
    cut = cut * min(TARGET_RMS / np.sqrt(np.mean(cut**2)), PEAK / np.max(np.abs(cut)))
    head, tail = rate // 200, rate // 50
    cut[:head] *= np.linspace(0, 1, head, dtype=np.float32)
    cut[-tail:] *= np.linspace(1, 0, tail, dtype=np.float32)
    polished: NDArray[np.float32] = cut.astype(np.float32)
    return polished


def _encode(samples: NDArray[np.float32], rate: int, target: Path) -> None:
    command = f"ffmpeg -hide_banner -loglevel error -y -f f32le -ar {rate} -ac 1 -i pipe:0"
    command += f" -ar 48000 -c:a libopus -b:a {BITRATE} -application voip -frame_duration 20"
    command += " -vbr on -fflags +bitexact -flags:a +bitexact -map_metadata -1"
    subprocess.run(  # noqa: S603
        [*command.split(), str(target)],
        input=samples.tobytes(),
        check=True,
        timeout=TIMEOUT_SECONDS,
    )


def main() -> None:
    """Write one Ogg Opus file (mono, 20 ms packets) for each sentence."""
    library = json.loads((HERE / "library.json").read_text("utf-8"))
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, sentence in library["sentences"].items():
            voice = library["speakers"][sentence["speaker"]]["voice"]
            samples, rate = _speak(sentence["text"], voice, Path(folder))
            target = HERE / f"{name}.opus"
            _encode(_polish(samples, rate), rate, target)
            total += target.stat().st_size
    sys.stdout.write(f"{len(library['sentences'])} files, {total / 1000:.0f} KB\n")


if __name__ == "__main__":
    main()

"""Gaps of a recording: they open with a loss and end with the first media after it (D10, D15)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.capture.outages import QUIET_MS, Outages
from bot.recording.journal import JournalWriter
from bot.recording.timeline import covered_ms, lay_out
from core.jobs.failures import ExitReason
from core.recordings.journal import Close, Open, StreamOpened, read_journal
from core.recordings.recording import Span

pytestmark = pytest.mark.unit

T0 = 1_700_000_000_000.0
REASON = "the browser crashed"


class Recording:
    """A journal with outages, read back as finalize does."""

    def __init__(self, folder: Path) -> None:
        self._journal = JournalWriter(folder, Open(job_id="job_1", fence=1, t0_ms=T0))
        self._journal.open_stream(StreamOpened(stream="a.ogg", kind="per-speaker"))
        self._folder = folder / "1"
        self.outages = Outages(self._journal, T0)

    def gaps(self, *, end_s: float | None = None) -> list[Span]:
        if end_s is not None:
            close = Close(at_ms=T0 + 1000 * end_s, exit_reason=ExitReason.CALL_ENDED)
            self._journal.write(close)
        return list(lay_out([read_journal(self._folder)]).gaps())


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording(tmp_path)


def at(seconds: float) -> float:
    return T0 + 1000 * seconds


def test_a_gap_ends_with_the_first_media_after_the_return(recording: Recording) -> None:
    outages = recording.outages
    outages.begin(at(10), REASON)
    outages.look(at(12), None)
    outages.back(at(14))
    outages.look(at(14.5), None)
    assert covered_ms(outages.until(at(14.5))) == 4500
    outages.look(at(15), at(14.8))
    assert recording.gaps()[-1] == Span(10_000, 14_800, REASON)
    assert covered_ms(outages.until(at(20))) == 4800


def test_when_nobody_speaks_the_gap_ends_with_the_return(recording: Recording) -> None:
    outages = recording.outages
    outages.begin(at(10), REASON)
    outages.back(at(14))
    outages.look(at(14) + QUIET_MS, None)
    assert recording.gaps()[-1] == Span(10_000, 14_000, REASON)


def test_a_bot_that_dies_in_a_gap_has_said_that_it_began(recording: Recording) -> None:
    recording.outages.begin(at(10), REASON)
    assert recording.gaps() == [Span(10_000, 10_000, REASON)]


def test_an_open_gap_ends_with_the_recording(recording: Recording) -> None:
    recording.outages.begin(at(10), REASON)
    recording.outages.close(at(16))
    assert recording.gaps(end_s=16)[-1] == Span(10_000, 16_000, REASON)


def test_a_second_loss_before_any_media_is_the_same_gap(recording: Recording) -> None:
    outages = recording.outages
    outages.begin(at(10), REASON)
    outages.back(at(12))
    outages.begin(at(13), "the meeting page crashed")
    outages.look(at(20), at(19))
    assert outages.open, "the bot is not back yet"
    outages.back(at(21))
    outages.look(at(22), at(21.5))
    assert recording.gaps()[-1] == Span(10_000, 21_500, REASON)


def test_gaps_run_while_they_are_open(recording: Recording) -> None:
    outages = recording.outages
    assert covered_ms(outages.until(at(5))) == 0
    outages.begin(at(10), REASON)
    assert covered_ms(outages.until(at(13))) == 3000
    outages.back(at(14))
    outages.look(at(15), at(15))
    outages.begin(at(30), REASON)
    assert covered_ms(outages.until(at(31))) == 6000

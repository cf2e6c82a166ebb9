"""When the bot leaves by itself (LC-20…LC-30): one table for all platforms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.auto_leave import Seen, evaluate_auto_leave
from core.jobs.failures import ExitReason
from core.jobs.spec import AutoLeavePolicy

pytestmark = pytest.mark.unit

POLICY = AutoLeavePolicy(
    after_entry_delay_seconds=600,
    after_max_seconds=14_400,
    after_silence_seconds=600,
    after_solo_seconds=120,
)
EXPLICIT = AutoLeavePolicy(after_silence_seconds=None, after_solo_seconds=None)
HOST = AutoLeavePolicy(when_host_leaves=True)
COMPETING = AutoLeavePolicy(on_bot_detected=True)

BUSY = Seen(arrived_at=0, in_room_since=0, human_seen_at=0, last_voice_at=10_000)


def seen(**changes: object) -> Seen:
    return replace(BUSY, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "what", "now", "expected"),
    [
        pytest.param(POLICY, Seen(), 1e6, None, id="not-there-yet"),
        pytest.param(POLICY, BUSY, 10_001, None, id="busy-meeting"),
        pytest.param(POLICY, BUSY, 14_399, ExitReason.SILENCE, id="silence-before-the-cap"),
        pytest.param(POLICY, BUSY, 14_400, ExitReason.MAX_DURATION, id="cap-beats-all"),
        pytest.param(
            POLICY,
            Seen(arrived_at=0, in_room_since=13_000),
            599,
            None,
            id="entry-clock-not-yet",
        ),
        pytest.param(
            POLICY, Seen(arrived_at=0), 600, ExitReason.ENTRY_DELAY, id="nobody-came-in-the-lobby"
        ),
        pytest.param(
            POLICY,
            Seen(arrived_at=0, in_room_since=500, alone_since=500),
            600,
            ExitReason.ENTRY_DELAY,
            id="entry-clock-counts-lobby-and-empty-room",
        ),
        pytest.param(
            POLICY,
            Seen(arrived_at=0, in_room_since=0, alone_since=0),
            300,
            None,
            id="never-solo-before-somebody-came",
        ),
        pytest.param(
            POLICY,
            Seen(arrived_at=0, in_room_since=0, last_voice_at=590),
            600,
            None,
            id="who-is-heard-is-there",
        ),
        pytest.param(
            POLICY,
            Seen(arrived_at=0, in_room_since=0, last_voice_at=590),
            1190,
            ExitReason.SILENCE,
            id="silence-after-people-whom-no-list-shows",
        ),
        pytest.param(POLICY, seen(alone_since=9_000), 9_119, None, id="two-minutes-alone-not-yet"),
        pytest.param(POLICY, seen(alone_since=9_000), 9_120, ExitReason.ALONE_IN_ROOM, id="alone"),
        pytest.param(POLICY, seen(last_voice_at=9_000), 9_599, None, id="silence-not-yet"),
        pytest.param(POLICY, seen(last_voice_at=9_000), 9_600, ExitReason.SILENCE, id="silence"),
        pytest.param(
            POLICY,
            seen(human_seen_at=8_000, last_voice_at=None),
            8_600,
            ExitReason.SILENCE,
            id="nobody-ever-spoke",
        ),
        pytest.param(
            POLICY,
            seen(human_seen_at=8_000, last_voice_at=None),
            8_599,
            None,
            id="silence-starts-with-the-first-human",
        ),
        pytest.param(
            EXPLICIT, seen(alone_since=0, last_voice_at=0), 14_000, None, id="explicit-stays"
        ),
        pytest.param(
            EXPLICIT, seen(alone_since=0), 14_400, ExitReason.MAX_DURATION, id="explicit-cap"
        ),
        pytest.param(HOST, seen(host_gone_since=10_000), 10_004, None, id="host-may-reload"),
        pytest.param(
            HOST, seen(host_gone_since=10_000), 10_006, ExitReason.HOST_LEFT, id="host-left"
        ),
        pytest.param(POLICY, seen(host_gone_since=9_990), 10_100, None, id="host-not-asked-for"),
        pytest.param(HOST, BUSY, 10_100, None, id="no-host-was-ever-seen"),
        pytest.param(
            COMPETING, seen(competing_bot=True), 10_000, ExitReason.COMPETING_BOT, id="competitor"
        ),
        pytest.param(POLICY, seen(competing_bot=True), 10_000, None, id="competitor-tolerated"),
        pytest.param(
            COMPETING,
            Seen(arrived_at=0, in_room_since=0, competing_bot=True),
            10,
            ExitReason.COMPETING_BOT,
            id="competitor-in-an-empty-room",
        ),
    ],
)
def test_auto_leave(
    policy: AutoLeavePolicy, what: Seen, now: float, expected: ExitReason | None
) -> None:
    assert evaluate_auto_leave(policy, what, now) is expected

"""`meetbot-server doctor platform`: what an operator learns of a page, and the exit codes."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser
from rich.console import Console
from typer.testing import CliRunner

from bot.platforms.driver import DriverContext
from core.clock import SystemClock
from core.settings import Settings
from meetbot_server import doctor_platform
from meetbot_server.cli import app
from meetbot_server.doctor_platform import Check, check
from tests.bot.platforms.meetings import SharedChromium, loopback
from tests.replicas.common.rooms import ReplicaRoom, Scenario
from tests.replicas.common.server import Replicas
from tests.replicas.platforms import REPLICAS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ZOOM = next(one for one in REPLICAS if one.slug == "zoom")


class Doctor:
    """Looks at meetings of the replica of Zoom, and keeps what was said."""

    def __init__(self, replicas: Replicas, folder: Path) -> None:
        self.said = ""
        self.folder = folder / "doctor"
        self._replicas = replicas

    async def look(
        self, scenario: Scenario, *, join: bool = False, seconds: float = 30
    ) -> tuple[int, ReplicaRoom]:
        name, replica = self._replicas.make(ZOOM, scenario)
        url = f"{ZOOM.url.format(room=name)}?pwd=open.sesame"
        out = io.StringIO()
        code = await check(
            Settings(trusted_origins=(ZOOM.origin,)),
            SystemClock(),
            Check("zoom", url, self.folder, seconds, join),
            Console(file=out, width=200),
        )
        self.said = out.getvalue()
        return code, replica

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def doctor(
    replica_browser: Browser,
    replicas: Replicas,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Doctor:
    monkeypatch.setattr(doctor_platform, "Chromium", partial(SharedChromium, replica_browser))
    monkeypatch.setattr(doctor_platform, "DriverContext", partial(DriverContext, resolver=loopback))
    monkeypatch.setattr(doctor_platform, "MEDIA_SECONDS", 0.5)
    return Doctor(replicas, tmp_path)


async def test_the_door_is_told_by_rule_and_anchors_and_nobody_knocks(doctor: Doctor) -> None:
    code, replica = await doctor.look(Scenario())
    assert code == 0, doctor.said
    assert "prejoin: #input-for-name" in doctor.said
    assert "name: #input-for-name" in doctor.said
    assert "no audio tracks" in doctor.said
    assert "open.sesame" not in doctor.said
    assert replica.joins == 0
    assert doctor.files >= {"doctor.png", "doctor.html", "doctor.url.txt", "doctor.json"}
    report = json.loads((doctor.folder / "doctor.json").read_text())
    assert report["rules"][0]["state"] == "prejoin"
    assert report["anchors"]["captions_on"] == "", "a purpose of another screen"


async def test_a_page_that_has_changed_is_an_error(doctor: Doctor) -> None:
    code, _ = await doctor.look(Scenario(screen="unknown"), seconds=1)
    assert code == 1
    assert "No rule of the anchors' file fits" in doctor.said
    assert "texts: scheduled maintenance status page" in doctor.said
    assert "doctor.png" in doctor.files


async def test_an_end_that_is_known_is_recognised(doctor: Doctor) -> None:
    """A link to no meeting is what an operator without one has."""
    code, _ = await doctor.look(Scenario(screen="not_found"))
    assert code == 0
    assert "not_found: " in doctor.said


async def test_it_goes_in_and_out_when_told_to(doctor: Doctor) -> None:
    code, replica = await doctor.look(Scenario(), join=True)
    assert code == 0, doctor.said
    assert "in the room" in doctor.said
    assert "people listed: 3" in doctor.said
    assert replica.guest is not None
    assert replica.guest.name == "meetbot doctor"
    await replica.gone.wait()


async def test_who_is_not_let_in_hears_why(doctor: Doctor) -> None:
    code, _ = await doctor.look(Scenario(full=True), join=True)
    assert code == 1
    assert "host_denied_admission" in doctor.said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["skype"], "Unknown platform"),
        (["discord"], "no driver for discord"),
        (["zoom", "--join"], "--url"),
        (["zoom", "--url", "http://zoom.us/j/123456789"], "https://"),
    ],
)
def test_wrong_arguments_are_told_apart(arguments: list[str], says: str) -> None:
    """Exit code 2, or 1 where this version can do nothing."""
    done = CliRunner().invoke(app, ["doctor", "platform", *arguments])
    assert done.exit_code == (1 if arguments == ["discord"] else 2)
    assert says in done.output


def test_doctor_alone_looks_at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []

    def examine(_: Settings, *, install: bool) -> int:
        looked.append(install)
        return 0

    monkeypatch.setattr("meetbot_server.doctor.examine", examine)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    assert CliRunner().invoke(app, ["doctor", "--install"]).exit_code == 0
    assert looked == [False, True]

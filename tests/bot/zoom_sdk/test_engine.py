"""Which engine a bot for Zoom uses, and what holds the SDK's stub to the SDK (PL-25)."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import importlib.util
import re
from contextlib import suppress
from pathlib import Path

import pytest

from bot.engines import with_engine
from bot.zoom_sdk import binding, failures
from bot.zoom_sdk.pump import GLibPump
from core.errors import BotFault
from core.jobs.spec import JobSpec
from core.platforms.zoom_settings import ZoomEngine, ZoomSettings
from core.settings import Settings
from tests.bot.zoom_sdk.stub import SURFACE, StubSdk

pytestmark = pytest.mark.unit

SOURCES = Path(failures.__file__).parent


@pytest.mark.parametrize(
    ("asked", "operator", "used"),
    [
        (None, "web", "web"),
        (None, "sdk", "sdk"),
        ("sdk", "web", "sdk"),
        ("web", "sdk", "web"),
    ],
)
def test_the_jobs_wish_counts_before_the_operators(
    sdk: StubSdk,
    spec: JobSpec,
    settings: Settings,
    asked: ZoomEngine | None,
    operator: ZoomEngine,
    used: ZoomEngine,
) -> None:
    zoom = settings.zoom.model_copy(update={"engine": operator})
    settings = settings.model_copy(update={"zoom": zoom})
    made = with_engine(spec.model_copy(update={"engine": asked}), settings)
    assert made.engine == used
    assert made.recording.video == ("off" if used == "sdk" else "tab"), "the SDK has no page"
    jitsi = spec.model_copy(update={"driver": "jitsi"})
    assert with_engine(jitsi, settings).engine == "web"


def test_without_credentials_or_the_package_bots_use_the_web_client(
    spec: JobSpec, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert with_engine(spec, settings).engine == "web"
    assert "pip install 'meetbot[zoom-sdk]'" in (binding.why_not(settings.zoom) or "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert binding.why_not(settings.zoom) is None
    assert "MEETBOT_ZOOM__CLIENT_ID" in (binding.why_not(ZoomSettings(engine="sdk")) or "")


def test_every_name_that_bots_use_is_one_of_the_package() -> None:
    """Also those in texts, such as of failures."""
    known = {name for members in SURFACE["enums"].values() for name in members}
    used = {
        name
        for path in SOURCES.glob("*.py")
        for name in re.findall(
            r"\b(?:AUTHRET|MEETING_FAIL|MEETING_STATUS|CONF_FAIL|SDKERR)_\w+", path.read_text()
        )
    }
    assert len(used) > 30
    assert used <= known


def test_the_surface_is_that_of_the_package_where_it_is_installed() -> None:
    if importlib.util.find_spec(binding.PACKAGE) is None:
        pytest.skip("zoom-meeting-sdk is not installed; pip install 'meetbot[zoom-sdk]'")
    package = importlib.import_module(binding.PACKAGE)
    for name, members in SURFACE["enums"].items():
        assert {one.name: int(one.value) for one in getattr(package, name)} == members
    for name, members in SURFACE["classes"].items():
        assert set(members) <= set(dir(getattr(package, name)))
    for name, callbacks in SURFACE["callbacks"].items():
        getattr(package, name)(**dict.fromkeys(callbacks))
    for name in (*SURFACE["functions"], *SURFACE["exported"]):
        assert hasattr(package, name)


async def test_glib_calls_back_though_nobody_runs_its_loop() -> None:
    try:
        pump = GLibPump()
    except BotFault as error:
        pytest.skip(error.message)
    glib = ctypes.CDLL("libglib-2.0.so.0")
    called = asyncio.Event()

    def once(_: object) -> int:
        called.set()
        return 0

    source = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(once)
    glib.g_idle_add(source, None)
    turning = asyncio.create_task(pump.turn())
    await asyncio.wait_for(called.wait(), 20)
    turning.cancel()
    with suppress(asyncio.CancelledError):
        await turning

"""Which engine takes a bot into its meeting: a browser, or a platform's own SDK (PL-25)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bot.browser.bridge import Bridge
from bot.browser.guard import EgressGuard
from bot.visit import Visit
from bot.zoom_sdk import binding
from bot.zoom_sdk.pump import GLibPump
from bot.zoom_sdk.visit import SdkVisit
from core.clock import Clock
from core.jobs.spec import JobSpec
from core.settings import Settings

log = logging.getLogger(__name__)

AnyVisit = Visit | SdkVisit


def with_engine(spec: JobSpec, settings: Settings) -> JobSpec:
    """`spec` with the engine that the bot will use; an SDK that is not there is the web client.

    By the SDK there is no page whose video could be recorded.
    """
    asked = spec.engine or settings.zoom.engine
    if spec.driver != "zoom" or asked != "sdk":
        return spec.model_copy(update={"engine": "web"})
    why = binding.why_not(settings.zoom)
    if why is not None:
        log.warning("Zoom's SDK cannot be used, so the bot joins by the web client: %s.", why)
        return spec.model_copy(update={"engine": "web"})
    recording = spec.recording.model_copy(update={"video": "off"})
    return spec.model_copy(update={"engine": "sdk", "recording": recording})


def visit_of(
    spec: JobSpec,
    settings: Settings,
    bridge: Bridge,
    guard: EgressGuard,
    trusted: Sequence[str],
    clock: Clock,
) -> AnyVisit:
    """The visit of a spec that went through `with_engine`."""
    if spec.engine == "sdk":
        return SdkVisit(spec, settings.zoom, bridge, clock, binding.load(), GLibPump())
    return Visit(spec, settings, bridge, guard, trusted)

"""What `deploy/` and `prefect.yaml` name exists: commands, settings, queues, flows (AR-07, D22)."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import Flow
from pydantic import BaseModel

from core.dispatch.queues import QUEUE_PRIORITIES
from core.settings import PrefectSettings, Settings, WorkerSettings
from flows import reconcile, resume_uploads
from flows.worker import HOUSEKEEPING, MEETING, TRANSCRIBE, UPLOADS
from meetbot_server.cli import app

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
# `watch` is the command of the recovery of dead processes (D10).
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands
            if command.callback is not None} | {"watch"}  # fmt: skip


def settings_names() -> set[str]:
    def walk(model: type[BaseModel], prefix: str, separator: str) -> Iterator[str]:
        for name, field in model.model_fields.items():
            path = f"{prefix}{separator}{name.upper()}"
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from walk(kind, path, "__")
            else:
                yield path

    return set(walk(Settings, "MEETBOT", "_"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def kubernetes() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in documents(path)]


def pods() -> dict[str, dict[str, Any]]:
    """Pod specifications by the name of what makes them."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in kubernetes()
        if "template" in one.get("spec", {})
    }


def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    services: dict[str, Any] = found["services"]
    return services


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_every_setting_that_is_named_exists() -> None:
    known = settings_names()
    texts = [*DEPLOY.rglob("*"), ROOT / "docs" / "running.md", ROOT / "docs" / "scaling.md"]
    for path in texts:
        if path.is_file():
            named = set(re.findall(r"\bMEETBOT_[A-Z][A-Z_]*[A-Z]\b", path.read_text()))
            assert named <= known, f"{path.name} names {sorted(named - known)}"


def test_every_command_exists() -> None:
    ours = [c for s in compose().values() if s.get("image") == "meetbot" for c in s["command"]]
    for pod in pods().values():
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            if container["image"] == "meetbot":
                ours += container["args"]
    for unit in UNITS:
        ours += re.findall(r"meetbot-server ([a-z-]+)$", unit.read_text(), re.MULTILINE)
        ours += re.findall(r"meetbot-server@([a-z-]+)\.service", unit.read_text())
    assert {"api", "worker", "watch", "prefect-server", "prefect-setup", "migrate"} <= set(ours)
    assert set(ours) <= COMMANDS


def test_every_deployment_runs_a_flow_that_workers_know_in_a_queue_that_they_ask() -> None:
    (declared,) = documents(ROOT / "prefect.yaml")
    names = {}
    for deployment in declared["deployments"]:
        module, _, name = deployment["entrypoint"].partition(":")
        flow = getattr(importlib.import_module(module), name)
        assert isinstance(flow, Flow)
        names[deployment["name"]] = flow.name
        assert deployment["work_pool"]["name"] == PrefectSettings().work_pool
        assert deployment["work_pool"]["work_queue_name"] in QUEUE_PRIORITIES
    assert set(names.values()) == {*HOUSEKEEPING, MEETING, TRANSCRIBE, UPLOADS}
    assert PrefectSettings().deployment == f"{names['meeting']}/meeting"
    assert f"{names['uploads']}/uploads" == resume_uploads.DEPLOYMENT


def test_intervals_are_those_that_the_flows_count_by() -> None:
    """AR-07."""
    (declared,) = documents(ROOT / "prefect.yaml")
    every = {
        one["name"]: one["schedules"][0]["interval"]
        for one in declared["deployments"]
        if "schedules" in one
    }
    assert every["reconcile"] == reconcile.INTERVAL_SECONDS
    assert every["resume-uploads"] == resume_uploads.INTERVAL_SECONDS


def test_whoever_stops_a_worker_gives_it_time_to_drain() -> None:
    """D22: killed in the middle of it, meetings would have to be recovered."""
    leave = WorkerSettings().leave_seconds
    worker = pods()["worker"]
    variables = {one["name"]: one.get("value") for one in worker["containers"][0]["env"]}
    drain = float(variables["MEETBOT_WORKER__DRAIN_SECONDS"])
    assert worker["terminationGracePeriodSeconds"] >= drain + leave + 30
    service = compose()["worker"]
    drain = float(service["environment"]["MEETBOT_WORKER__DRAIN_SECONDS"])
    assert seconds(service["stop_grace_period"]) >= drain + leave + 30
    unit = (DEPLOY / "systemd" / "meetbot-worker.service").read_text()
    (drain_text,) = re.findall(r"DRAIN_SECONDS=(\d+)", unit)
    (stop_text,) = re.findall(r"TimeoutStopSec=(\d+)", unit)
    assert float(stop_text) >= float(drain_text) + leave + 30


def test_bots_run_as_an_ordinary_user_with_chromiums_sandbox_on() -> None:
    """D12."""
    for name, pod in pods().items():
        if name not in ("postgres", "set-up"):
            assert pod["securityContext"]["runAsNonRoot"] is True
    profile = json.loads((DEPLOY / "seccomp-chromium.json").read_text())
    refused = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert not refused & {"clone", "clone3", "unshare", "setns", "chroot"}
    everything = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file())
    assert "UNSAFE_NO_SANDBOX" not in everything
    assert "privileged" not in everything
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert dockerfile.index("USER meetbot") < dockerfile.index("ENTRYPOINT")


def test_every_worker_has_a_name_and_a_disk_of_its_own() -> None:
    """D9: the name stands for the files."""
    (worker,) = [one for one in kubernetes() if one["metadata"]["name"] == "worker"
                 and one["kind"] == "StatefulSet"]  # fmt: skip
    variables = worker["spec"]["template"]["spec"]["containers"][0]["env"]
    (name,) = [one for one in variables if one["name"] == "MEETBOT_WORKER__NAME"]
    assert name["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert worker["spec"]["volumeClaimTemplates"]
    assert compose()["worker"]["environment"]["MEETBOT_WORKER__NAME"]

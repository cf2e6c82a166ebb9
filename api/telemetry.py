"""OpenTelemetry, where an operator wants it: spans and metrics of requests, over OTLP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fastapi.telemetry import TelemetryConfig

from core.errors import BadInput
from core.settings import Settings

EXPORT_SECONDS: Final = 10


class Telemetry:
    """FastAPI's configuration for the collector that the settings name, or for none.

    Requests' bodies and errors are not sent, nor the queries of their addresses.

    Raises:
        BadInput: the packages for it are not installed.
    """

    def __init__(self, settings: Settings, version: str) -> None:
        self.config: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
        self._shut: list[Callable[[], object]] = []
        endpoint = settings.logs.otlp_endpoint
        if endpoint is not None:
            self._export_to(str(endpoint).rstrip("/"), settings.region, version)

    def _export_to(self, url: str, region: str, version: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as exc:
            raise BadInput(
                "MEETBOT_LOGS__OTLP_ENDPOINT needs the OpenTelemetry SDK: install this package "
                "with its extra `telemetry`."
            ) from exc
        resource = Resource.create(
            {"service.name": "meetbot-api", "service.version": version, "region": region}
        )
        spans = OTLPSpanExporter(f"{url}/v1/traces", timeout=EXPORT_SECONDS)
        tracer = TracerProvider(resource=resource)
        tracer.add_span_processor(BatchSpanProcessor(spans))
        figures = OTLPMetricExporter(f"{url}/v1/metrics", timeout=EXPORT_SECONDS)
        reader = PeriodicExportingMetricReader(figures)
        meter = MeterProvider(resource=resource, metric_readers=[reader])
        self._shut += [tracer.shutdown, meter.shutdown]
        self.config = {
            "tracer_provider": tracer,
            "meter_provider": meter,
            "logs": False,
            "operation_spans": False,
        }

    async def close(self) -> None:
        """Send what is left; it may take until the exporters give up."""
        for shut in self._shut:
            await asyncio.to_thread(shut)

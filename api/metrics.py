"""What Prometheus reads: the requests of this process, and how the deployment is doing."""

from __future__ import annotations

import logging
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from api.middleware import Served
from core.jobs.overview import Overview

log = logging.getLogger("api.requests")

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
QUANTILES: Final = (0.5, 0.9, 0.99)


class Metrics:
    """Counts the answers of one process, and logs a line for each where that is wanted."""

    def __init__(self, *, log_requests: bool) -> None:
        self._log_requests = log_requests
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "meetbot_http_request_seconds",
            "Answers of this process, by route and status.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self._registry,
        )

    def served(self, request: Served) -> None:
        """Count one answer."""
        labels = (request.method, request.route, str(request.status))
        self._requests.labels(*labels).observe(request.seconds)
        if self._log_requests:
            log.info(
                "%s %s %d in %.0f ms",
                *(request.method, request.route, request.status, request.seconds * 1000),
            )

    def text(self, found: Overview) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry) + generate_latest(_gauges(found))


def _gauges(found: Overview) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"meetbot_{name}", text, labels, registry=registry)

    jobs = gauge("jobs", "Jobs that are not over.", "status", "platform")
    for (status, platform), count in found.jobs.items():
        jobs.labels(status, platform).set(count)
    lag = "How long the longest waiting job should have been started by now."
    gauge("start_lag_seconds", lag).set(found.start_lag)
    joins = gauge("join_seconds", "From due to inside the room, of half an hour.", "quantile")
    for quantile in QUANTILES if found.join_seconds else ():
        place = min(len(found.join_seconds) - 1, int(quantile * len(found.join_seconds)))
        joins.labels(str(quantile)).set(found.join_seconds[place])
    gauge("joins", "Joins of jobs made in the last half hour.").set(len(found.join_seconds))
    gauge("webhooks_waiting", "Deliveries that wait for an attempt.").set(found.webhooks_waiting)
    overdue = "How long the oldest attempt is overdue."
    gauge("webhooks_overdue_seconds", overdue).set(found.webhooks_overdue)
    waiting = "Recordings that wait for their storage."
    gauge("uploads_postponed", waiting).set(found.uploads_postponed)
    gauge("uploads_postponed_age_seconds", "The oldest of them.").set(found.uploads_age)
    budget = gauge("worker_budget", "What a worker may use, in CPU-seconds a minute.", "worker")
    for name, seconds in found.budgets.items():
        budget.labels(name).set(seconds)
    gauge("worker_used", "What all meetings use, in CPU-seconds a minute.").set(found.used)
    return registry

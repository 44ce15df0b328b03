"""The metrics of callbacks, on the port of the gateway's worker."""

from __future__ import annotations

import re

from prometheus_client import generate_latest

from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.metrics import CALLBACKS, CallbackCounter
from kafka_bridge.worker.monitoring.observer import WorkerStatus
from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver
from kafka_bridge.worker.monitoring.serving import monitored
from unit.gateway.callbacks.conftest import Callbacks, callback_job

IDLE = WorkerStatus(ready=True)


def test_callbacks_are_counted_by_outcome() -> None:
    """Every outcome has a series from the start; callbacks before the first scrape count too."""
    counts = CallbackCounter()
    counts.count(CallbackOutcome.ACCEPTED)
    with monitored(lambda: IDLE, ["work"], 0, "127.0.0.1", [counts]) as observer:
        assert isinstance(observer, PrometheusObserver)
        for outcome in (CallbackOutcome.ACCEPTED, CallbackOutcome.OVERSIZED):
            counts.count(outcome)
        text = generate_latest(observer.registry).decode()
    shown = dict(re.findall(rf'^{CALLBACKS}_total{{outcome="(\w+)"}} (\S+)$', text, re.MULTILINE))
    assert shown == {each.value: "0.0" for each in CallbackOutcome} | {
        "accepted": "2.0",
        "oversized": "1.0",
    }
    assert "kafka_bridge_worker_jobs_running 0.0" in text


def test_gateway_with_callbacks_has_their_metrics(callbacks: Callbacks) -> None:
    """They are among its worker's metrics; a gateway that only polls has none."""
    jobs = {"work": callback_job()}
    polled = {"work": callback_job(mode="polling")}
    for config, sources in (
        (GatewayConfig(callbacks=callbacks(), jobs=jobs), 1),
        (GatewayConfig(callbacks=callbacks(), jobs=polled), 0),
    ):
        shown = Gateway(config).worker.metric_sources
        assert sum(isinstance(each, CallbackCounter) for each in shown) == sources

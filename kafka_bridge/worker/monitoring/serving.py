"""Who watches a worker: a port with metrics and health where one is set, else nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, cast

from kafka_bridge.worker.monitoring.observer import MetricSource, Observer, WorkerStatus


@contextlib.contextmanager
def watched(
    status: Callable[[], WorkerStatus],
    job_types: Collection[str],
    port: int | None,
    host: str,
    sources: Iterable[MetricSource] = (),
) -> Iterator[Observer]:
    """Give the observer that the worker is to tell what happens, for as long as the block lasts.

    :param status: asked at each request, on a thread of its own; must return at once
    :param job_types: those that the worker has handlers for
    :param port: None opens none, 0 one that is free
    :param host: the address to listen on
    :param sources: what else is shown among the metrics
    :raises ConfigurationError: the extra ``metrics`` is missing, or the port cannot be opened
    """
    if port is None:
        yield Observer()
        return
    # An extra: loaded only where it is asked for.
    from kafka_bridge.worker.monitoring.http import serve
    from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver

    observer = PrometheusObserver(job_types)
    for each in sources:
        observer.registry.register(cast(Any, each))  # asked for a base class, it needs one method
    with serve(status, observer, port, host):
        yield observer

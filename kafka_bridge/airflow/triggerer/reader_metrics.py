"""Reports a response reader through Airflow's metrics (statsd, OpenTelemetry, Datadog)."""

from __future__ import annotations

from dataclasses import astuple, fields

from kafka_bridge.airflow.compat import stats
from kafka_bridge.kafka.responses.dispatcher import ReaderCounts
from kafka_bridge.kafka.responses.reader import ResponseReader

PREFIX = "kafka_bridge.reader."


class ReaderMetrics:
    """The metrics of one topic's reader, tagged with the topic.

    Gauges: ``kafka_bridge.reader.waiting`` (jobs) and ``.lag`` (records behind the end). Counters:
    ``.records``, ``.matched``, ``.without_key``, ``.undecodable``, ``.rewinds`` and
    ``.unreadable`` (offsets).

    Make it on a thread: for the first metric of a process, Airflow parses a file for 0.2 s.
    """

    def __init__(self, topic: str) -> None:
        self._tags = {"topic": topic}
        self._reported = ReaderCounts()
        self._stats = stats(triggerer=True)
        self._stats.gauge(f"{PREFIX}waiting", 0, tags=self._tags)

    def report(self, reader: ResponseReader) -> None:
        """Send what has changed since the last report."""
        self._stats.gauge(f"{PREFIX}waiting", reader.waiting, tags=self._tags)
        self._stats.gauge(f"{PREFIX}lag", reader.health.lag, tags=self._tags)
        counts = ReaderCounts(*astuple(reader.counts))
        for field in fields(counts):
            more = getattr(counts, field.name) - getattr(self._reported, field.name)
            if more:
                self._stats.incr(f"{PREFIX}{field.name}", more, tags=self._tags)
        self._reported = counts

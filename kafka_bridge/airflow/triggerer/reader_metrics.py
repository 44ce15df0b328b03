"""A response reader's figures as Airflow's own metrics (statsd, OpenTelemetry, Datadog)."""

from __future__ import annotations

from dataclasses import astuple, fields

from airflow.observability import stats

from kafka_bridge.kafka.responses.dispatcher import ReaderCounts
from kafka_bridge.kafka.responses.reader import ResponseReader

PREFIX = "kafka_bridge.reader."


class ReaderMetrics:
    """Reports one topic's reader, tagged with the topic.

    Gauges: ``kafka_bridge.reader.waiting`` (jobs) and ``.lag`` (records behind the head). Counters:
    ``.records``, ``.matched``, ``.without_key``, ``.undecodable``, ``.rewinds`` and
    ``.unreadable`` (offsets).

    To be made on a thread: the first metric of a process makes Airflow parse a file of 0.2 s.
    """

    def __init__(self, topic: str) -> None:
        self._tags = {"topic": topic}
        self._reported = ReaderCounts()
        stats.gauge(f"{PREFIX}waiting", 0, tags=self._tags)

    def report(self, reader: ResponseReader) -> None:
        """Send what has changed since the last report."""
        stats.gauge(f"{PREFIX}waiting", reader.waiting, tags=self._tags)
        stats.gauge(f"{PREFIX}lag", reader.health.lag, tags=self._tags)
        counts = ReaderCounts(*astuple(reader.counts))
        for field in fields(counts):
            more = getattr(counts, field.name) - getattr(self._reported, field.name)
            if more:
                stats.incr(f"{PREFIX}{field.name}", more, tags=self._tags)
        self._reported = counts

"""Reads topics from a time on up to where they end now, the one that is furthest behind first.

So the records of all topics come nearly in the order of their times. A request is read before the
end of its job is dropped from the book, and the book holds few jobs whose end is still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import with_skew
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Received
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.monitor.intake import Intake, TopicKind
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import KafkaError

ANSWER_SECONDS = 15.0
"""The longest silence of Kafka, seconds: a person waits for the answer."""


@dataclass(frozen=True, slots=True)
class MonitoredTopics:
    """The topics from which the jobs are known.

    :ivar requests: request topics
    :ivar responses: response topics; those that requests name are read, too
    :ivar control: the control topic
    :ivar dead_letters: dead-letter topics. They are shown, but say nothing of the jobs' states
    """

    requests: Sequence[str] = (default.REQUEST_TOPIC,)
    responses: Sequence[str] = (default.RESPONSE_TOPIC,)
    control: str = default.CONTROL_TOPIC
    dead_letters: Sequence[str] = (default.DEAD_LETTER_TOPIC,)

    def kinds(self) -> dict[str, TopicKind]:
        """Return the topics from which the jobs are known, with what their records are."""
        return {
            **dict.fromkeys(self.requests, TopicKind.REQUESTS),
            **dict.fromkeys(self.responses, TopicKind.RESPONSES),
            self.control: TopicKind.CONTROL,
        }


@dataclass(slots=True)
class TopicProgress:
    """How far a topic was read.

    :ivar ends: by partition, where it ended when the reading began: the first offset not read
    :ivar failure: why it cannot be read, if so
    :ivar records: how many records were read
    :ivar unreadable: how many offsets were skipped because their batch cannot be unpacked
    :ivar time_ms: the time of the last record, milliseconds since 1970
    """

    topic: str
    kind: TopicKind
    ends: list[int] = field(default_factory=list)
    failure: KafkaError | None = None
    records: int = 0
    unreadable: int = 0
    time_ms: int = -1

    def took(self, intake: Intake, records: Sequence[Received]) -> None:
        """Put the next records of the topic into an intake, and note that."""
        if records:
            intake.take(self.kind, self.topic, records)
            self.records += len(records)
            self.time_ms = max(self.time_ms, records[-1].timestamp_ms)

    def add(self, before: TopicProgress) -> None:
        """Add what was read of the topic before."""
        self.records += before.records
        self.unreadable += before.unreadable
        self.time_ms = max(self.time_ms, before.time_ms)

    def continues_at(self, since: datetime) -> datetime:
        """Return from which time on to read what is new: not before ``since``.

        It is a bit before the last record: clocks differ.
        """
        if self.time_ms < 0:
            return since
        try:
            return max(since, with_skew(datetime.fromtimestamp(self.time_ms / 1000, UTC)))
        except (OverflowError, ValueError, OSError):
            return since


class HistoryReading:
    """Reads topics once, from a time on, into an intake.

    :param since: the time
    :param timeout: the longest silence of the brokers, seconds
    :param is_stopped: asked often; the reading ends early when it says so
    """

    def __init__(
        self,
        config: KafkaConfig,
        intake: Intake,
        since: datetime,
        *,
        timeout: float = ANSWER_SECONDS,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._intake = intake
        self._since = since
        self._timeout = timeout
        self._is_stopped = is_stopped

    def read(
        self, topics: Mapping[str, TopicKind], except_for: Container[str] = ()
    ) -> list[TopicProgress]:
        """Read these topics, and the response topics that their requests name.

        A topic that cannot be read is no error: its progress says why.

        :param except_for: response topics that are not read, even if a request names them
        """
        open_: list[tuple[TopicProgress, Iterator[Sequence[Any]]]] = []
        done: dict[str, TopicProgress] = {}
        wanted = dict(topics)
        while (wanted or open_) and not self._is_stopped():
            for topic, kind in wanted.items():
                done[topic] = TopicProgress(topic, kind)
                open_.append((done[topic], self._batches(done[topic])))
            furthest_behind = min(open_, key=lambda each: each[0].time_ms)
            if not self._advance(*furthest_behind):
                open_.remove(furthest_behind)
            wanted = {
                topic: TopicKind.RESPONSES
                for topic in self._intake.response_topics
                if topic not in done and topic not in except_for
            }
        return list(done.values())

    def _advance(self, progress: TopicProgress, batches: Iterator[Sequence[Any]]) -> bool:
        """Take the next records of a topic; return whether there were any."""
        try:
            batch = [Received(message) for message in next(batches)]
        except StopIteration:
            return False
        except KafkaError as error:
            progress.failure = error
            return False
        progress.took(self._intake, batch)
        return True

    def _batches(self, progress: TopicProgress) -> Iterator[Sequence[Any]]:
        def skipped(batches: SkippedBatches) -> None:
            progress.unreadable += batches.offsets

        ends = end_offsets(self._config, [progress.topic], self._timeout)[progress.topic]
        progress.ends = ends
        yield from scan(
            self._config,
            progress.topic,
            self._since,
            timeout=self._timeout,
            until=ends,
            skipped=skipped,
        )

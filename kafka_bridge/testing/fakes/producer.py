"""confluent_kafka's producer, without a broker: each report is as the test says."""

# ruff: noqa: ARG002  fakes have the signatures of what they replace

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import confluent_kafka as ck

from kafka_bridge.kafka.clients import ConnectionWatch
from kafka_bridge.testing.fakes.clock import FakeClock
from kafka_bridge.testing.fakes.metadata import topic_metadata
from kafka_bridge.testing.fakes.sent import SentRecord

_Report = Callable[[ck.KafkaError | None, ck.Message], None]


@dataclass(frozen=True, slots=True)
class _Pending:
    due: float
    error: ck.KafkaError | None
    message: ck.Message
    report: _Report | None


class FakeProducer(ck.Producer):
    """Reports each record as delivered at the next poll, unless the test says otherwise.

    ::

        client = FakeProducer()
        monkeypatch.setattr(producer_module, "make", client.make)
        client.fail(ck.KafkaError.MSG_SIZE_TOO_LARGE)     # reported for the next record
        client.refuse(BufferError("queue full"))          # raised by the next produce()
        client.delay = 5.0                                # reported 5 s later, by the clock

    ``sent`` has every record that ``produce`` accepted. The code under test polls, as it does with
    the real client; a poll without reports waits for one, up to its timeout of real time.

    :param clock: for ``delay``; without it, real time
    :param partitions: the number of partitions of each topic, for ``list_topics``
    """

    def __init__(
        self, *, clock: FakeClock | None = None, partitions: Mapping[str, int] | None = None
    ) -> None:
        # The base class would connect: its __init__ must not run.
        self.settings: dict[str, Any] = {}
        self.sent: list[SentRecord] = []
        self.delay = 0.0
        """Seconds from ``produce`` to the report; ``math.inf``: until :meth:`report_all`."""
        self.fatal: ck.KafkaError | None = None
        """What ``poll`` raises, once."""
        self.partitions = dict(partitions or {})
        self._monotonic = clock.monotonic if clock else time.monotonic
        self._failures: deque[ck.KafkaError | None] = deque()
        self._refusals: deque[Exception] = deque()
        self._offsets = count()
        self._pending: list[_Pending] = []
        self._changed = threading.Condition()

    # What a test does.

    def make(self, _kind: object, settings: Mapping[str, Any]) -> Self:
        """Stand in for ``kafka_bridge.kafka.clients.make``: keep the settings, return this one."""
        self.settings = dict(settings)
        self.connection_watch = ConnectionWatch(settings, settings.get("error_cb"))
        return self

    def fail(self, code: int, times: int = 1) -> None:
        """Report the next ``times`` records as failed with an error code of ``ck.KafkaError``."""
        self._failures += [ck.KafkaError(code)] * times

    def refuse(self, error: Exception, times: int = 1) -> None:
        """Let the next ``times`` calls of ``produce`` raise: BufferError, KafkaException, …."""
        self._refusals += [error] * times

    def report_all(self) -> None:
        """Make all reports due now, whatever their delay: the next poll serves them."""
        with self._changed:
            self._pending = [
                _Pending(0.0, each.error, each.message, each.report) for each in self._pending
            ]
            self._changed.notify_all()

    # What the code under test does.

    def produce(  # type: ignore[override]  # confluent_kafka's many options are not needed
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        headers: Any = None,
        on_delivery: _Report | None = None,
        **_options: Any,
    ) -> None:
        """Accept a record, or raise as the test says."""
        if self._refusals:
            raise self._refusals.popleft()
        self.sent.append(SentRecord(topic, key, value, headers or []))
        error = self._failures.popleft() if self._failures else None
        offset = -1001 if error else next(self._offsets)
        message = ck.Message(
            topic=topic, partition=0, offset=offset, key=key, value=value, error=error
        )
        with self._changed:
            due = self._monotonic() + self.delay
            self._pending.append(_Pending(due, error, message, on_delivery))
            self._changed.notify_all()

    def poll(self, timeout: float = -1) -> int:
        """Serve the reports that are due, and return how many; wait for the first of them.

        As in the real client, an exception of a callback ends the poll and is raised; the reports
        after it are served by the next poll.
        """
        if self.fatal is not None:
            fatal, self.fatal = self.fatal, None
            raise ck.KafkaException(fatal)
        with self._changed:
            self._changed.wait_for(self._has_due, None if timeout < 0 else timeout)
            due = self._take_due()
        for served, each in enumerate(due, 1):
            try:
                if each.report is not None:
                    each.report(each.error, each.message)
            except BaseException:
                with self._changed:
                    self._pending[:0] = due[served:]
                raise
        return len(due)

    def flush(self, timeout: float = -1) -> int:
        """Serve the reports that are due, without waiting; return how many records are left.

        As in the real client, every report is served, and then the last exception of a callback is
        raised.
        """
        failure: Exception | None = None
        while True:
            try:
                if not self.poll(0):
                    break
            except Exception as error:
                failure = error
        if failure is not None:
            raise failure
        return len(self)

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        """Return the metadata of the topics that the test has named."""
        return topic_metadata(self.partitions, topic)

    def __len__(self) -> int:
        return len(self._pending)

    def __bool__(self) -> bool:
        return True

    def _has_due(self) -> bool:
        now = self._monotonic()
        return any(each.due <= now for each in self._pending)

    def _take_due(self) -> list[_Pending]:
        now = self._monotonic()
        due = [each for each in self._pending if each.due <= now]
        self._pending = [each for each in self._pending if each.due > now]
        return due

"""The bridge's own producer, without a broker: it keeps records and acknowledges them on demand."""

# ruff: noqa: ARG002  fakes have the signatures of what they replace

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any, Self

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.testing.fakes.sent import SentRecord

_Report = Callable[[Exception | None], None]


class FakeRecordProducer(RecordProducer):
    """Acknowledges each record at once, unless the test says otherwise.

    ::

        producer = FakeRecordProducer()
        monkeypatch.setattr(module_under_test, "RecordProducer", producer.open)
        producer.fail(BrokerUnreachable("away"))       # the next record fails
        producer.hold()                                # later ones wait for …
        producer.acknowledge()                         # … this

    ``sent`` has every record that was handed over, failed ones too; ``acknowledged`` those that the
    brokers took. ``opened`` and ``closed`` count calls; ``connected`` has the topics of
    :meth:`connect`.

    :param refuse: returns why a record fails, None where it does not; asked for each record
    """

    def __init__(self, refuse: Callable[[SentRecord], Exception | None] = lambda _: None) -> None:
        # The base class connects to brokers and starts a thread: its __init__ must not run.
        self.refuse = refuse
        self.sent: list[SentRecord] = []
        self.acknowledged: list[SentRecord] = []
        self.connected: list[str] = []
        self.opened = self.closed = 0
        self.fatal: Exception | None = None
        """What :meth:`check` raises: librdkafka has given the producer up."""
        self._failures: list[Exception] = []
        self._is_holding = False
        self._held: list[tuple[SentRecord, _Report]] = []
        self._offsets = count()

    # What a test does.

    def open(self, *_args: Any, **_options: Any) -> Self:
        """Stand in for the class: return this producer, whatever the arguments."""
        self.opened += 1
        return self

    def fail(self, error: Exception, times: int = 1) -> None:
        """Let the next ``times`` records fail with this error."""
        self._failures += [error] * times

    def hold(self) -> None:
        """Acknowledge nothing from now on, until :meth:`acknowledge`."""
        self._is_holding = True

    def acknowledge(self, error: Exception | None = None, *, most: int | None = None) -> int:
        """Acknowledge the records that are held, or let them fail; return how many.

        :param error: why they fail
        :param most: how many, oldest first; all of them without it
        """
        held = self._held[:most]
        del self._held[:most]
        for record, report in held:
            self._settle(record, error, report)
        return len(held)

    def release(self) -> None:
        """Acknowledge what is held, and each later record at once again."""
        self._is_holding = False
        self.acknowledge()

    @property
    def in_flight(self) -> int:
        """How many records wait to be acknowledged."""
        return len(self._held)

    def _settle(self, record: SentRecord, error: Exception | None, report: _Report) -> None:
        if error is None:
            self.acknowledged.append(record)
        report(error)

    # What the code under test does.

    def connect(self, topic: str) -> None:
        """Note the topic."""
        self.connected.append(topic)

    def deliver(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: _Report,
        *,
        wait: bool = False,
    ) -> None:
        """Keep a record, and report as the test says."""
        record = SentRecord(topic, key, value, headers)
        self.sent.append(record)
        error = self._failures.pop(0) if self._failures else self.refuse(record)
        if error is None and self._is_holding:
            self._held.append((record, delivered))
        else:
            self._settle(record, error, delivered)

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Future[RecordLocation]:
        """Keep a record; the future gives partition 0 and a rising offset."""
        outcome: Future[RecordLocation] = Future()

        def report(error: Exception | None) -> None:
            if error is None:
                outcome.set_result(RecordLocation(topic, 0, next(self._offsets)))
            else:
                outcome.set_exception(error)

        self.deliver(topic, key, value, headers, report)
        return outcome

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> RecordLocation:
        """Keep a record and return where it lies; while records are held, this would block.

        :raises TimeoutError: records are held, so that nothing would acknowledge this one
        """
        return self.send(topic, key, value, headers).result(timeout=0)

    def check(self) -> None:
        """Raise ``fatal``, where the test has set it."""
        if self.fatal is not None:
            raise self.fatal

    def serve_reports(self) -> None:
        """Do nothing: reports are served at once."""

    def leave_reports(self) -> None:
        """Do nothing: reports are served at once."""

    def flush(self) -> None:
        """Do nothing: what is held stays so."""

    def close(self) -> None:
        """Count the call."""
        self.closed += 1

"""An idempotent producer with ``acks=all`` that reports the outcome of each record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import confluent_kafka as ck

from kafka_bridge.kafka.clients import ask, make, watch_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import (
    is_silence,
    kafka_error,
    too_large,
    topic_not_found,
    translate,
)
from kafka_bridge.kafka.forks import generation
from kafka_bridge.kafka.records import location_of
from kafka_bridge.kafka.unacknowledged import DeliveryDoctor
from kafka_bridge.protocol.errors import (
    AccessDenied,
    DeliveryFailed,
    KafkaError,
    RecordLocation,
)
from kafka_bridge.protocol.headers import Headers

_log = logging.getLogger(__name__)

DELIVERY_TIMEOUT = 30.0
"""Seconds until a record that no broker acknowledged counts as failed."""
CONNECT_SECONDS = 5.0
"""How long a login may take, with TLS and SASL on a busy machine."""
_POLL_SECONDS = 0.02
"""How long closing takes at most, when all records are delivered."""
_STILL_SECONDS = 0.05
"""How long the producer's own thread pauses after another one served the reports."""


class RecordProducer:
    """Sends records and reports for each whether the brokers have it. Thread-safe.

    :param config: how to reach Kafka
    :param delivery_timeout: seconds until an unacknowledged record fails
    :param served: called after a batch of reports, on the thread that served them
    """

    def __init__(
        self,
        config: KafkaConfig,
        delivery_timeout: float = DELIVERY_TIMEOUT,
        served: Callable[[], None] = lambda: None,
    ) -> None:
        self._servers = config.bootstrap_servers
        self._delivery_timeout = delivery_timeout
        self._fatal: ck.KafkaError | None = None
        self._producer = make(ck.Producer, config.producer(delivery_timeout))
        self._doctor = DeliveryDoctor(config)
        self._made_in = generation()
        self._closing = threading.Event()
        self._served = served
        self._may_serve = threading.Event()
        self._may_serve.set()
        self._served_at = 0.0
        self._poller = threading.Thread(
            target=self._serve_reports, name="kafka-bridge-producer", daemon=True
        )
        self._poller.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def connect(self, topic: str) -> None:
        """Wait until a broker has answered, some seconds at the most, before sending at once.

        librdkafka requests an idempotent producer's id with each answer about the brokers, from a
        broker to which it is connected. The first answer comes from a bootstrap server, whose
        connection is then closed: so it is asked twice. Otherwise it tries again after half a
        second (``rd_kafka_idemp_pid_timer_restart``), and sends nothing until then.

        A refusal is raised here as soon as it comes. A record that was sent before fails with it
        only after the delivery timeout.

        :raises AccessDenied: the brokers do not let this client in
        """
        try:
            for _ in range(2):
                ask(
                    self._producer,
                    lambda seconds: self._producer.list_topics(topic, timeout=seconds),
                    doing=f"sending to topic {topic!r}",
                    servers=self._servers,
                    timeout=min(CONNECT_SECONDS, self._delivery_timeout),
                )
        except AccessDenied:
            raise
        except (KafkaError, ValueError, RuntimeError):
            pass  # whatever else is wrong, sending reports: a name with a NUL, and so on

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Future[RecordLocation]:
        """Send a record, waiting for room where the send queue is full.

        The future resolves to where the record lies once every in-sync replica has it, or to
        :class:`TopicNotFound`, :class:`RecordTooLarge`, :class:`AccessDenied`,
        :class:`BrokerUnreachable` or :class:`DeliveryFailed`.
        """
        outcome: Future[RecordLocation] = Future()

        def report(error: ck.KafkaError | None, message: ck.Message) -> None:
            if error is None:
                outcome.set_result(location_of(message))
            else:
                outcome.set_exception(self._failure(error, topic, value))

        if (failure := self._produce(topic, key, value, headers, report)) is not None:
            outcome.set_exception(failure)
        return outcome

    def deliver(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: Callable[[Exception | None], None],
        *,
        wait: bool = False,
    ) -> None:
        """Send a record and return at once; the fastest way to send thousands.

        :param delivered: called on the producer's thread, or on this one where the record is
            refused at once: with None, or with an error as the future of :meth:`send` has it
        :param wait: wait for room where the send queue is full, up to the delivery time-out. A
            thread that polls, or runs an event loop, must not; its record is then refused with
            :class:`DeliveryFailed`
        """
        report = partial(self._report, delivered, topic, value)
        failure = self._produce(topic, key, value, headers, report, wait=wait)
        if failure is not None:
            delivered(failure)

    def _report(
        self,
        delivered: Callable[[Exception | None], None],
        topic: str,
        value: bytes | None,
        error: ck.KafkaError | None,
        _: ck.Message,
    ) -> None:
        delivered(None if error is None else self._failure(error, topic, value))

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> RecordLocation:
        """Send a record, wait for its acknowledgement, and return where it lies.

        :raises KafkaError: the brokers do not have it; see :meth:`send`
        """
        return self.send(topic, key, value, headers).result()

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        report: Callable[[ck.KafkaError | None, ck.Message], None],
        *,
        wait: bool = True,
    ) -> Exception | None:
        """Hand a record to librdkafka; return why it does not take it, None where it does."""
        if self._is_inherited():
            return DeliveryFailed(
                f"nothing is sent to topic {topic!r}: this producer belongs to the parent process. "
                "Create a producer in the child process"
            )
        deadline = time.monotonic() + (self._delivery_timeout if wait else 0.0)
        while True:
            try:
                self._producer.produce(
                    topic,
                    value=value,
                    key=key,
                    headers=cast(Any, headers),  # a list of another item type
                    on_delivery=report,
                )
            except BufferError as error:  # the local queue is full: wait until some were taken
                if time.monotonic() >= deadline:
                    return self._failure(error, topic, value)
                time.sleep(_POLL_SECONDS)
            except ck.KafkaException as error:
                return self._failure(error, topic, value)
            except ValueError:  # a name with a NUL: confluent_kafka does not even try
                return topic_not_found(topic, self._servers)
            else:
                return None

    def _is_inherited(self) -> bool:
        """Return whether this is a forked child, which must not touch its parent's client."""
        return self._made_in != generation()

    def _failure(
        self,
        error: ck.KafkaException | ck.KafkaError | BufferError,
        topic: str,
        value: bytes | None,
    ) -> Exception:
        doing = f"sending to topic {topic!r}"
        if isinstance(error, BufferError):
            return DeliveryFailed(f"{doing} to {self._servers} failed: the send queue is full")
        cause = kafka_error(error)
        if cause.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
            return too_large(topic, len(value or b""), cause.str())
        if is_silence(cause) and (reason := self._why_silent(doing, topic)) is not None:
            return reason
        return translate(cause, doing=doing, servers=self._servers, topic=topic)

    def _why_silent(self, doing: str, topic: str) -> Exception | None:
        watch = watch_of(self._producer)
        refusal = watch.why_silent(doing) if watch.is_refused else None
        return refusal or self._doctor.why(topic, self._delivery_timeout)

    def check(self) -> None:
        """Return if the producer can still send.

        :raises KafkaError: librdkafka reported a fatal error, as when brokers lost records; every
            later record fails
        """
        if self._fatal is not None:
            raise translate(self._fatal, doing="sending", servers=self._servers)

    def serve_reports(self) -> None:
        """Serve pending reports on this thread, for a busy thread that calls this often.

        The producer's own thread then pauses: it would wait for Python's lock at each report. Call
        :meth:`leave_reports` before waiting.
        """
        self._may_serve.clear()
        self._served_at = time.monotonic()
        self._poll(0)

    def leave_reports(self) -> None:
        """Let the producer's own thread serve the reports again."""
        self._may_serve.set()

    def _serve_reports(self) -> None:
        while not self._closing.is_set():
            if self._may_serve.wait(_STILL_SECONDS) or self._is_left_alone():
                try:
                    self._poll(_POLL_SECONDS)
                except Exception:  # raised by a callback: without this thread, none is called again
                    _log.exception("A delivery callback failed")

    def _is_left_alone(self) -> bool:
        """Return whether the thread that served the reports has stopped doing so."""
        return time.monotonic() - self._served_at > _STILL_SECONDS

    def _poll(self, seconds: float) -> None:
        try:
            if self._producer.poll(seconds):
                self._served()
        except ck.KafkaException as error:  # a fatal error is raised here, once
            self._fatal = kafka_error(error)

    def flush(self) -> None:
        """Wait until every record that was sent is acknowledged or has failed."""
        if self._is_inherited():
            return
        self.leave_reports()
        self._producer.flush(self._delivery_timeout)

    def close(self) -> None:
        """Wait until every record is acknowledged or has failed, then stop."""
        self.flush()
        self._closing.set()
        self._poller.join()

"""Publishes what Airflow publishes, and what other workers publish."""

from __future__ import annotations

from typing import Any

from kafka_bridge.conformance.murmur2 import partition_of
from kafka_bridge.conformance.setup import Setup
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.transactions import publish_aborted
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import Headers, command_headers, event_headers, request_headers
from kafka_bridge.protocol.ids import new_correlation_id, new_event_id
from kafka_bridge.protocol.media_types import JSON, to_json
from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobRequest,
    JobState,
    Message,
    StatusEvent,
    utc_now,
)

FOREIGN_WORKER = "conformance-other-worker"
"""The worker in whose name the kit publishes events."""


class Publisher:
    """Publishes requests and commands as Airflow does, and events in the name of another worker.

    :param partitions: how many the request topic has
    """

    def __init__(self, setup: Setup, producer: RecordProducer, partitions: int) -> None:
        self.encoding = setup.encoding
        self.names = setup.names
        self.partitions = partitions
        self.own_records: set[RecordLocation] = set()
        """Of the response topic: what the kit has published there."""
        self._config = setup.config
        self._producer = producer

    def request(self, job_type: str, payload: Any = None, **fields: Any) -> JobRequest:
        """Return a request for a new job.

        :param payload: becomes JSON; None is no payload
        :param fields: others of the request
        """
        defaults: dict[str, Any] = {
            "correlation_id": new_correlation_id(),
            "payload": None if payload is None else to_json(payload),
            "payload_type": None if payload is None else JSON,
            "response_topic": self.names.responses,
            "created_at": utc_now(),
        }
        return JobRequest(job_type=job_type, **(defaults | fields))

    def request_beside(self, other: JobRequest, job_type: str, payload: Any = None) -> JobRequest:
        """Return a request for a new job that goes to the same partition as another one."""
        wanted = self._partition(other)
        while True:
            request = self.request(job_type, payload)
            if self._partition(request) == wanted:
                return request

    def _partition(self, request: JobRequest) -> int:
        return partition_of(request.correlation_id.encode(), self.partitions)

    def encoded(self, message: Message) -> bytes:
        """Return a message in the stage's encoding."""
        return encode(message, self.encoding)

    def headers(self, request: JobRequest) -> Headers:
        """Return the headers that Airflow gives to a request."""
        return request_headers(request, self.encoding)

    def publish(self, request: JobRequest, headers: Headers | None = None) -> RecordLocation:
        """Publish a request as Airflow does.

        :param headers: by default those of Airflow
        """
        headers = self.headers(request) if headers is None else headers
        return self.publish_bytes(request.correlation_id, self.encoded(request), headers)

    def publish_bytes(self, key: str, value: bytes | None, headers: Headers) -> RecordLocation:
        """Publish any record on the request topic."""
        return self._producer.publish(self.names.requests, key.encode(), value, headers)

    def cancel(self, request: JobRequest, reason: str | None = None) -> None:
        """Publish a CANCEL for a job."""
        self.command(request.correlation_id, *self._cancel(request, reason))

    def _cancel(self, request: JobRequest, reason: str | None) -> tuple[bytes, Headers]:
        command = JobCommand(
            correlation_id=request.correlation_id,
            command=Command.CANCEL,
            reason=reason,
            issued_at=utc_now(),
        )
        return self.encoded(command), command_headers(command, self.encoding)

    def command(self, key: str, value: bytes | None, headers: Headers) -> None:
        """Publish any record on the control topic."""
        self._producer.publish(self.names.control, key.encode(), value, headers)

    def event(self, request: JobRequest, state: JobState, **fields: Any) -> StatusEvent:
        """Return an event of a job in the name of another worker."""
        defaults: dict[str, Any] = {
            "correlation_id": request.correlation_id,
            "event_id": new_event_id(),
            "sequence": 0,
            "state": state,
            "occurred_at": utc_now(),
            "worker_id": FOREIGN_WORKER,
        }
        return StatusEvent(**(defaults | fields))

    def tell(self, request: JobRequest, state: JobState, **fields: Any) -> None:
        """Publish an event of a job in the name of another worker."""
        self.respond(request.correlation_id, self.encoded(self.event(request, state, **fields)))

    def respond(self, key: str, value: bytes | None) -> None:
        """Publish any record on the response topic, in the name of another worker."""
        headers = event_headers(key.encode(), self.encoding, ())
        self.own_records.add(
            self._producer.publish(self.names.responses, key.encode(), value, headers)
        )

    # Records that were never published: those of aborted transactions.

    def publish_aborted(self, request: JobRequest) -> None:
        """Publish a request in a transaction that is aborted.

        :raises KafkaError: the brokers do not let the kit do that
        """
        self._abort(self.names.requests, request, self.encoded(request), self.headers(request))

    def tell_aborted(self, request: JobRequest, state: JobState) -> None:
        """Publish an event of a job, as :meth:`tell`, in a transaction that is aborted.

        :raises KafkaError: the brokers do not let the kit do that
        """
        value = self.encoded(self.event(request, state))
        headers = event_headers(request.correlation_id.encode(), self.encoding, ())
        self._abort(self.names.responses, request, value, headers)

    def cancel_aborted(self, request: JobRequest) -> None:
        """Publish a CANCEL for a job in a transaction that is aborted.

        :raises KafkaError: the brokers do not let the kit do that
        """
        self._abort(self.names.control, request, *self._cancel(request, None))

    def _abort(self, topic: str, request: JobRequest, value: bytes, headers: Headers) -> None:
        publish_aborted(self._config, topic, request.correlation_id.encode(), value, headers)

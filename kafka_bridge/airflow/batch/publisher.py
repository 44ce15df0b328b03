"""Publishes the requests of a batch, which differ only in their ids and payloads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from uuid import UUID

from kafka_bridge.airflow.batch.payloads import Payload
from kafka_bridge.airflow.batch.rounds import Round
from kafka_bridge.airflow.batch.specs import BatchSpec
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.tracing import trace_headers
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.sizes import SizeCheck
from kafka_bridge.protocol.errors import RecordTooLarge
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobRequest, Task, whole_milliseconds
from kafka_bridge.protocol.plain_replies import PlainSeries
from kafka_bridge.protocol.request_series import RequestSeries


class JobPublisher:
    """Checks payloads, and publishes them as requests of a series.

    :param sizes: knows the largest record of the topic
    """

    def __init__(
        self,
        producer: RecordProducer,
        topic: str,
        requests: RequestSeries | PlainSeries,
        sizes: SizeCheck,
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._requests = requests
        self._sizes = sizes
        self._failure: Exception | None = None

    def check(self, payloads: Iterable[Payload]) -> int:
        """Check all payloads, and return how many there are.

        :raises InvalidPayload: a payload does not fit the model
        :raises PayloadNotSerialisable: a payload has no JSON form
        :raises RecordTooLarge: a payload is too large for the producer or the topic
        """
        count, job = 0, str(UUID(int=0))
        rest = len(job) + sum(len(name) + len(text) for name, text in self._requests.headers(job))
        for payload in payloads:
            value = self._requests.value(job, payload.data, payload.media_type)
            try:
                self._sizes.require_fitting(rest + len(value))
            except RecordTooLarge as error:
                raise RecordTooLarge(f"{payload.name}: {error}") from error
            count += 1
        return count

    def publish(self, jobs: Iterable[tuple[str, Payload]], first: Headers) -> int:
        """Publish a request for each job; return how many, when the brokers have acknowledged all.

        :param first: additional headers of the first request. If there are any, the others are
            published only when the brokers have acknowledged that one
        :raises KafkaError: a request was not acknowledged; the error names its payload
        """
        count = 0
        for job, payload in jobs:
            value = self._requests.value(job, payload.data, payload.media_type)
            headers = self._requests.headers(job)
            is_first = bool(first) and count == 0
            if is_first:
                headers += first
            delivered = partial(self._note, payload.name)
            self._producer.deliver(self._topic, job.encode(), value, headers, delivered, wait=True)
            if is_first:
                self._producer.flush()
            self._producer.serve_reports()
            self._raise_failure()
            count += 1
        self._producer.flush()
        self._raise_failure()
        return count

    def _note(self, name: str, failure: Exception | None) -> None:
        if failure is not None and self._failure is None:
            self._failure = type(failure)(f"{name}: {failure}")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def publisher_of(
    which: Round, spec: BatchSpec, task: Task, kafka: KafkaAccess, producer: RecordProducer
) -> JobPublisher:
    """Return what checks and publishes the jobs of a round.

    :param task: the task that submits them
    """
    topic, traces = spec.request_topic, trace_headers()
    requests: RequestSeries | PlainSeries
    if spec.reply is Reply.PLAIN:
        requests = PlainSeries(spec.response_topic, traces)
    else:
        requests = RequestSeries(_template(which, spec, task), spec.encoding, traces)
    sizes = SizeCheck(kafka.config, topic, kafka.timeout)
    return JobPublisher(producer, topic, requests, sizes)


def _template(which: Round, spec: BatchSpec, task: Task) -> JobRequest:
    """Return a request as those of a round are, except id and payload."""
    deadline = None
    if spec.timeout is not None:
        deadline = whole_milliseconds(which.created_at + timedelta(seconds=spec.timeout))
    return JobRequest(
        correlation_id=which.batch_id,
        attempt=which.attempt,
        job_type=spec.job_type,
        response_topic=spec.response_topic,
        created_at=which.created_at,
        expires_at=deadline,
        deadline=deadline,
        heartbeat_interval_ms=max(1, int(spec.heartbeat_interval * 1000)),  # 0: none
        task=task,
        attributes={"batch_id": which.batch_id},
    )

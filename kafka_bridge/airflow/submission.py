"""A job on its way out: where the topics end, then the stored id, then the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk.configuration import conf
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, Task, utc_now, whole_milliseconds

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.operators import KafkaJobOperator

STORE_KEY = "kafka_bridge.job"


class StateStore(Protocol):
    """Airflow's task state store: it survives retries and a task's *clear*."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under a key."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Store a value under a key."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is stored of a job before it is published.

    The offsets, indexed by partition, say where the topics ended then: no record of the job lies
    before them.
    """

    correlation_id: str
    attempt: int
    request_topic: str
    response_topic: str
    request_offsets: list[int]
    response_offsets: list[int]


def last_attempt(store: StateStore) -> int:
    """Return how many times this task instance has submitted a job."""
    stored = store.get(STORE_KEY)
    return int(stored["attempt"]) if isinstance(stored, Mapping) else 0


def submit(
    config: KafkaConfig,
    request: JobRequest,
    request_topic: str,
    encoding: Encoding,
    store: StateStore,
    timeout: float,
) -> tuple[Submission, RecordLocation]:
    """Store the job's id and where the topics end, publish its request, return both.

    In this order a crash in between loses nothing: the id that may have been published is known.

    :param timeout: seconds for each question to the brokers, and for the delivery
    :raises InvalidMessage: the request breaks the protocol
    :raises KafkaError: a topic is missing, or the brokers did not take the request
    """
    value = encode(request, encoding)
    key = request.correlation_id.encode()
    # Made first: an idempotent producer takes half a second to get ready, in the background.
    with RecordProducer(config, timeout) as producer:
        ends = end_offsets(config, {request_topic, request.response_topic}, timeout)
        submission = Submission(
            request.correlation_id,
            request.attempt,
            request_topic,
            request.response_topic,
            ends[request_topic],
            ends[request.response_topic],
        )
        store.set(STORE_KEY, asdict(submission), retention=NEVER_EXPIRE)
        location = producer.publish(request_topic, key, value, request_headers(request, encoding))
    return submission, location


def request_of(operator: KafkaJobOperator, context: Context, attempt: int) -> JobRequest:
    """Return the request for an operator's job, under a new correlation id.

    :raises PayloadNotSerialisable: the payload has no JSON form
    :raises InvalidMessage: a field breaks the protocol
    """
    payload, payload_type = to_bytes(operator.payload, "payload")
    now, wait = utc_now(), operator.schedule_to_start_timeout
    return JobRequest(
        correlation_id=new_correlation_id(),
        attempt=attempt,
        job_type=operator.job_type,
        payload=payload,
        payload_type=payload_type,
        response_topic=operator.response_topic,
        created_at=now,
        expires_at=whole_milliseconds(now + timedelta(seconds=wait)) if wait else None,
        heartbeat_interval_ms=max(1, int(operator.heartbeat_interval * 1000)),  # 0 asks for none
        task=_task(context),
    )


def _task(context: Context) -> Task:
    instance = context["ti"]
    return Task(
        source=conf.get("api", "base_url", fallback=None) or "airflow",
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=instance.map_index if instance.map_index is not None else -1,
        try_number=instance.try_number,
        url=getattr(instance, "log_url", None),
    )

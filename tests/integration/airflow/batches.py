"""A batch operator's task, run as Airflow runs it, and a service that does its jobs."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace, TracebackType
from typing import Any, Self, cast

import confluent_kafka as ck
import psutil
from airflow.exceptions import TaskDeferred
from airflow.sdk import Context
from airflow.sdk.bases.operator import ExecutorSafeguard

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobBatchTrigger, task_state
from kafka_bridge.airflow.batch.rounds import Batch
from kafka_bridge.airflow.batch.submission import submitted_batch
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import headers_of
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.headers import CORRELATION_ID, REPLY_TOPIC, Headers
from kafka_bridge.protocol.media_types import JSON, from_json, to_json
from kafka_bridge.protocol.messages import (
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    StatusEvent,
)

from ..jobs import event

Answer = Callable[[JobRequest], StatusEvent | None]
PlainAnswer = Callable[[Any], tuple[bytes | None, Headers]]


@dataclass
class BatchTask:
    """One task instance, from try to try. ``arguments`` are its operator's.

    ``facts`` are what its last try has deferred with.
    """

    arguments: dict[str, Any]
    try_number: int = 1
    max_tries: int = 3
    run_began: datetime = field(default_factory=lambda: datetime.now(UTC))
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def operator(self) -> KafkaJobBatchOperator:
        """A new operator, as each process of the task has one."""
        given = {
            "job_type": "test.number",
            "deferrable": True,
            "wait_before_deferring": 0,
            **self.arguments,
        }
        return KafkaJobBatchOperator(task_id="batch", **given)

    @property
    def context(self) -> Context:
        """What Airflow hands to it."""
        instance = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id="batch",
            map_index=None,
            try_number=self.try_number,
            max_tries=self.max_tries,
        )
        run = SimpleNamespace(start_date=self.run_began, run_after=self.run_began, clear_number=0)
        return cast(Context, {"ti": instance, "dag_run": run})

    @property
    def submitted(self) -> Batch | None:
        """The batch that Kafka knows of."""
        operator = self.operator
        return submitted_batch(operator.spec, operator.kafka, self.context)

    def submit(self) -> KafkaJobBatchTrigger:
        """Execute the operator; return its trigger as the triggerer makes it."""
        try:
            done = self.operator.execute(self.context)
        except TaskDeferred as deferred:
            self.facts = json.loads(json.dumps(deferred.kwargs))
            _, arguments = deferred.trigger.serialize()
            stored = json.loads(json.dumps(arguments))
            return KafkaJobBatchTrigger(**{**stored, "not_before": 0.0})
        raise AssertionError(f"the task did not defer, but returned {done!r}")

    def resume(self, fired: dict[str, Any]) -> Any:
        """Resume the task with a trigger's event; return its XCom."""
        return self.operator.execute_complete(self.context, fired, **self.facts)

    def run(self) -> Any:
        """Run one try to its end, and count it."""
        try:
            return self.resume(fired_by(self.submit()))
        finally:
            self.try_number += 1


def fired_by(trigger: KafkaJobBatchTrigger, seconds: float = 60) -> dict[str, Any]:
    """Run a trigger until it fires, and return the event."""

    async def fire() -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            event: dict[str, Any] = (await anext(trigger.run())).payload
            return event

    return asyncio.run(fire())


def submit_and_die(task: BatchTask, after: int) -> None:
    """Submit a batch in this process, which dies after ``after`` requests."""
    sent = itertools.count()
    deliver = RecordProducer.deliver

    def deliver_or_die(producer: RecordProducer, *of_the_record: Any, **options: Any) -> None:
        if next(sent) == after:
            producer.flush()  # what was sent is really there
            os.kill(os.getpid(), signal.SIGKILL)
        deliver(producer, *of_the_record, **options)

    RecordProducer.deliver = deliver_or_die  # type: ignore[assignment, method-assign]
    _allow_operators()
    task.submit()


def _allow_operators() -> None:
    """Let operators run in this process, which is not a task's."""
    ExecutorSafeguard.test_mode = True
    task_state.is_in_state = lambda *_: True


@dataclass(frozen=True)
class Measured:
    """What a function returned, and what it took: seconds, and MiB of memory at its peak."""

    value: Any
    seconds: float
    mebibytes: float


def measured(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Call a function in a process of its own, which has imported all that it needs."""
    with multiprocessing.get_context("spawn").Pool(1, _allow_operators) as pool:
        result: Measured = pool.apply(_measure, (function, arguments))
        return result


def _measure(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Measured:
    for module in ("submission", "completion", "wait"):
        import_module(f"kafka_bridge.airflow.batch.{module}")
    before, begin = psutil.Process().memory_info().rss, time.monotonic()
    value = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(value, time.monotonic() - begin, (peak - before) / 2**20)


def submit(task: BatchTask) -> tuple[dict[str, Any], BatchTask]:
    """Submit a batch; return its trigger's arguments, and the task that has submitted it."""
    return task.submit().serialize()[1], task


def fire(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a trigger until it fires, and return the event."""
    return fired_by(KafkaJobBatchTrigger(**arguments), seconds=300)


def resume(task: BatchTask, fired: dict[str, Any]) -> Any:
    """Resume a task with a trigger's event; return its XCom."""
    return task.resume(fired)


class Service:
    """Does jobs inside the block: publishes what ``answer`` returns for each; nothing for None."""

    def __init__(self, config: KafkaConfig, request_topic: str, answer: Answer) -> None:
        self.requests: list[JobRequest] = []
        self._config = config
        self._topic = request_topic
        self._answer = answer
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _serve(self) -> None:
        consumer = ck.Consumer(self._config.worker(f"{self._topic}-service"))
        consumer.subscribe([self._topic])
        with RecordProducer(self._config) as producer:
            while not self._stopping.is_set():
                for message in consumer.consume(500, 0.05):
                    if message.error() is None:
                        self._serve_one(producer, message)
        consumer.close()

    def _serve_one(self, producer: RecordProducer, message: ck.Message) -> None:
        request = decode(JobRequest, message.value())
        self.requests.append(request)
        reply = self._answer(request)
        if reply is not None:
            key = request.correlation_id.encode()
            producer.send(request.response_topic, key, encode(reply), [])


class PlainService(Service):
    """Does jobs as NestJS does: payload in; out goes a reply without a key, under a header.

    ``answer`` takes a payload, and returns the reply's value and what other headers it has.
    """

    def __init__(self, config: KafkaConfig, request_topic: str, answer: PlainAnswer) -> None:
        super().__init__(config, request_topic, lambda _: None)
        self._reply_to = answer

    def _serve_one(self, producer: RecordProducer, message: ck.Message) -> None:
        headers = dict(headers_of(message))
        value, more = self._reply_to(from_json(message.value() or b""))
        correlation = (CORRELATION_ID, headers[CORRELATION_ID])
        producer.send(headers[REPLY_TOPIC].decode(), None, value, [correlation, *more])


def number_of(request: JobRequest) -> int:
    """Return the number that a request's payload holds."""
    return int(from_json(request.payload or b"null")["n"])


def doubled(request: JobRequest) -> StatusEvent:
    """Return the success of a job that doubles its number."""
    result = to_json(2 * number_of(request))
    return event(request.correlation_id, result=result, result_type=JSON)


def failed(request: JobRequest, *, retryable: bool = True) -> StatusEvent:
    """Return the failure of a job."""
    error = JobFailure("OddNumber", f"{number_of(request)} is odd", "Traceback …", retryable)
    return event(request.correlation_id, JobState.FAILED, error=error)


def requests_in(config: KafkaConfig, topic: str) -> list[JobRequest]:
    """Return all requests in a topic."""
    found = [each.value() for batch in scan(config, topic, [], timeout=30) for each in batch]
    return [decode(JobRequest, value) for value in found]


def commands_in(config: KafkaConfig, topic: str) -> list[JobCommand]:
    """Return all commands in a topic."""
    found = [each.value() for batch in scan(config, topic, [], timeout=30) for each in batch]
    return [decode(JobCommand, value) for value in found]

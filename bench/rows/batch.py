"""Ten thousand jobs in one batch task, against as many requests and replies on bare clients.

Our side calls the operator as Airflow does: ``execute`` (every payload is checked and encoded, and
the broker acknowledges all requests); then the trigger, created from its
stored arguments in another process, where a reader is open; then ``execute_complete`` (all results
are read, in order). Not measured are the time that Airflow itself needs between these steps, and
the delay of decision 0007. A first round of each side is not measured: the first producer of a new
broker waits for its coordinator, and the first trigger for its reader.

The peer is the minimum that any implementation must do: a producer sends the same requests, already
encoded, and a consumer reads until all replies have arrived. The same process runs the jobs of both
sides: it decodes each request and answers with one event, as the simplest worker must. One of the
two peers has the producer's defaults, the other has our guarantees (``acks=all``, idempotent). The
second one connects before its first record, as ours does. Otherwise librdkafka would wait half a
second for the producer's id.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import confluent_kafka as ck
from airflow.exceptions import TaskDeferred
from airflow.sdk import Context
from airflow.sdk.bases.operator import ExecutorSafeguard

from bench.measure import Result, Round, Scale, Target
from bench.responder import responder
from bench.traffic import ends_of, new_topic, producer, raw_consumer
from bench.trigger_process import RunTrigger, trigger_process
from kafka_bridge.airflow import KafkaJobBatchOperator, task_state
from kafka_bridge.kafka.config import KafkaConfig

JOBS = 10_000
CONNECTION = "bench_batch"
GIVE_UP_SECONDS = 120.0


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    connection = {"conn_type": "kafka", "extra": {"bootstrap.servers": servers}}
    os.environ[f"AIRFLOW_CONN_{CONNECTION.upper()}"] = json.dumps(connection)
    plain = _row("a raw producer and consumer")
    plain.explanation = (
        "Half of the difference is reading the results: each one is decoded and checked. The rest: "
        "every payload is encoded twice (once to check it), the end offsets of the topics are "
        "requested, and the trigger tracks each job"
    )
    careful = _row("a raw idempotent producer (ours is one, too) and consumer")
    config = KafkaConfig({"bootstrap.servers": servers})
    # The operator is executed outside a task, so Airflow does not know the task's state.
    ExecutorSafeguard.test_mode = True
    task_state.is_in_state = lambda *_: True
    with (
        new_topic(servers) as requests,
        new_topic(servers) as responses,
        trigger_process() as run_trigger,
    ):
        for number in range(scale.rounds() + 1):
            say(f"{JOBS:,} jobs in one batch, round {number} (0 is not measured)")
            with responder(servers, requests):
                ours = _time_batch(requests, responses, run_trigger)
            for row, sender in (
                (plain, lambda: producer(servers)),
                (careful, lambda: _connected(ck.Producer(config.producer(30)), requests)),
            ):
                with responder(servers, requests):
                    peer = _time_raw(servers, requests, responses, sender)
                if number:
                    row.rounds.append(Round(ours, peer))
    return [plain, careful]


def _row(clients: str) -> Result:
    return Result(
        f"{JOBS:,} no-op jobs through one batch task: payloads to results",
        f"the same number of requests and replies on {clients}, with the same worker",
        "s",
        Target("<=", 2.0),
    )


# Ours.


def _time_batch(requests: str, responses: str, run_trigger: RunTrigger) -> float:
    payloads = [{"number": number} for number in range(JOBS)]
    operator = KafkaJobBatchOperator(
        task_id="batch",
        job_type="bench.nothing",
        payloads=payloads,
        kafka_config_id=CONNECTION,
        request_topic=requests,
        response_topic=responses,
        deferrable=True,
        wait_before_deferring=0,
    )
    instance = SimpleNamespace(
        dag_id="bench", run_id="r", task_id="batch", map_index=-1, try_number=1, max_tries=0
    )
    now = datetime.now(UTC)
    run = SimpleNamespace(start_date=now, run_after=now, clear_number=0)
    context = cast(Context, {"ti": instance, "dag_run": run})
    begin = time.perf_counter()
    arguments, facts = _deferred_to(operator, context)
    results = operator.execute_complete(context, run_trigger(arguments), **facts)
    took = time.perf_counter() - begin
    if results != payloads:
        raise RuntimeError("the results do not match the payloads")
    return took


def _deferred_to(
    operator: KafkaJobBatchOperator, context: Context
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Execute an operator; return the arguments of its trigger, and those of its resumption."""
    try:
        operator.execute(context)
    except TaskDeferred as deferred:
        _, arguments = deferred.trigger.serialize()
        arguments, facts = json.loads(json.dumps([arguments, deferred.kwargs]))
        return {**arguments, "not_before": 0.0}, facts
    raise RuntimeError("the operator did not defer")


# The peer.


def _time_raw(
    servers: str, requests: str, responses: str, new_producer: Callable[[], ck.Producer]
) -> float:
    """Send the requests of the batch before again, and read as many replies."""
    records = _read(servers, requests, [0] * len(ends_of(servers, requests)), JOBS)
    starts = ends_of(servers, responses)
    begin = time.perf_counter()
    sender = new_producer()
    for value, key, headers in records:
        sender.produce(requests, value, key=key, headers=headers)
        sender.poll(0)
    sender.flush()
    _read(servers, responses, starts, JOBS)
    return time.perf_counter() - begin


def _connected(sender: ck.Producer, topic: str) -> ck.Producer:
    sender.list_topics(topic, timeout=10)
    return sender


def _read(servers: str, topic: str, starts: list[int], count: int) -> list[tuple[Any, Any, Any]]:
    """Read ``count`` records of a topic."""
    consumer = raw_consumer(servers, topic, starts)
    records: list[tuple[Any, Any, Any]] = []
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while len(records) < count:
        if time.monotonic() > give_up:
            raise RuntimeError(f"only {len(records)} of {count} records arrived")
        records += [(m.value(), m.key(), m.headers()) for m in consumer.consume(1000, 0.05)]
    consumer.close()
    return records[:count]

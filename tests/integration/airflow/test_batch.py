"""Batches on real Kafka: the operator's own path, with a service that does the jobs."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard

from kafka_bridge.airflow import task_state
from kafka_bridge.airflow.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedNonRetryable,
)
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import ConfigurationError, RecordTooLarge
from kafka_bridge.protocol.headers import CORRELATION_ID, Headers
from kafka_bridge.protocol.media_types import to_json
from kafka_bridge.protocol.messages import JobRequest, StatusEvent
from kafka_bridge.protocol.plain_replies import NEST_ERROR
from kafka_bridge.testing import Broker

from ..jobs import config_of
from .batches import (
    BatchTask,
    PlainService,
    Service,
    commands_in,
    doubled,
    failed,
    fire,
    fired_by,
    measured,
    number_of,
    requests_in,
    resume,
    submit,
    submit_and_die,
)

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

SEED = 20261123
JOBS = 10_000
FAILING = frozenset(random.Random(SEED).sample(range(JOBS), JOBS // 20))


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch, real_broker: Broker) -> None:
    """Let Airflow have a connection, and let operators be executed outside a running task."""
    extra = {"bootstrap.servers": real_broker.bootstrap_servers}
    connection = {"conn_type": "kafka", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_THE_BROKER", json.dumps(connection))
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    monkeypatch.setattr(task_state, "is_in_state", lambda *_: True)


@pytest.fixture
def config(real_broker: Broker) -> KafkaConfig:
    """Give the configuration of the session's broker."""
    return config_of(real_broker.bootstrap_servers)


@pytest.fixture
def where(topics: TopicFactory) -> dict[str, Any]:
    """Give the arguments that say where a batch goes: topics of its own."""
    return {
        "kafka_config_id": "the_broker",
        "request_topic": topics("requests", partitions=3),
        "response_topic": topics("responses", partitions=3),
        "control_topic": topics("control", partitions=1),
    }


def numbers(count: int) -> list[dict[str, int]]:
    """Return payloads."""
    return [{"n": n} for n in range(count)]


def mostly_doubled(request: JobRequest) -> StatusEvent:
    """Return the failure of one job in twenty; the others double their number."""
    return failed(request) if number_of(request) in FAILING else doubled(request)


def test_results_of_ten_thousand_jobs_are_in_order(
    config: KafkaConfig, where: dict[str, Any]
) -> None:
    """500 of them fail: the list has an error at each of these places."""
    task = BatchTask({**where, "payloads": numbers(JOBS), "on_failure": "collect"})
    with Service(config, where["request_topic"], mostly_doubled):
        results = task.run()
    assert results == [
        {"error": {"type": "OddNumber", "message": f"{n} is odd", "retryable": True}}
        if n in FAILING
        else 2 * n
        for n in range(JOBS)
    ]


@pytest.mark.long
def test_batch_of_a_hundred_thousand_jobs_takes_bounded_time_and_memory(
    config: KafkaConfig, where: dict[str, Any], tmp_path: Path
) -> None:
    """They go from file to file in two minutes, in processes of at most 500 MiB more."""
    count, source, target = 100_000, tmp_path / "numbers.jsonl", tmp_path / "results.jsonl"
    source.write_bytes(b"".join(b'{"n": %d}\n' % n for n in range(count)))
    files = {"payloads_file": str(source), "results_file": str(target)}
    task = BatchTask({**where, **files, "on_failure": "collect"})
    with Service(config, where["request_topic"], mostly_doubled):
        steps = [measured(submit, task)]
        arguments, task = steps[-1].value
        steps.append(measured(fire, arguments))
        steps.append(measured(resume, task, steps[-1].value))
    assert steps[-1].value["total"] == count
    assert steps[-1].value["failed"] == len(FAILING)
    with target.open() as lines:
        for number, line in enumerate(map(json.loads, lines)):
            assert line["index"] == number
            assert number in FAILING or line["result"] == 2 * number
    assert sum(step.seconds for step in steps) < 120, steps
    assert max(step.mebibytes for step in steps) < 500, steps


@pytest.mark.parametrize("jobs", [JOBS // 5, pytest.param(JOBS, marks=pytest.mark.long)])
def test_first_failure_cancels_the_rest_of_the_batch(
    config: KafkaConfig, where: dict[str, Any], eventually: Eventually, jobs: int
) -> None:
    """A retry then submits the failed and the cancelled jobs, and not those that succeeded."""
    silent_from = jobs - 500

    def answer(request: JobRequest) -> StatusEvent | None:
        if request.attempt == 2:
            return doubled(request)
        return mostly_doubled(request) if number_of(request) < silent_from else None

    task = BatchTask({**where, "payloads": numbers(jobs)})
    with Service(config, where["request_topic"], answer) as service:
        with pytest.raises(KafkaBatchFailed, match=rf"of {jobs:,} jobs failed: .* × OddNumber"):
            task.run()
        topic = where["response_topic"]
        eventually(
            lambda: sum(end_offsets(config, [topic], 10)[topic]) == silent_from,
            "the service has answered all that it answers",
        )
        unfinished = {
            request.correlation_id
            for request in service.requests
            if number_of(request) >= silent_from
        }
        cancelled = {c.correlation_id for c in commands_in(config, where["control_topic"])}
        assert unfinished <= cancelled
        assert task.run() == [2 * n for n in range(jobs)]
        again = [number_of(r) for r in service.requests if r.attempt == 2]
    assert sorted(again) == sorted({n for n in range(jobs) if n in FAILING or n >= silent_from})


@pytest.mark.parametrize("sent", [0, 1, 500])
def test_process_killed_while_publishing_loses_and_doubles_no_job(
    config: KafkaConfig, where: dict[str, Any], sent: int
) -> None:
    """After a kill -9 before or during publishing, the retry publishes the missing requests.

    Each job is published once, with the id and the time of the try that published the first one.
    """
    task = BatchTask({**where, "payloads": numbers(1000)})
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=submit_and_die, args=(task, sent))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(requests_in(config, where["request_topic"])) == sent
    first = task.submitted
    assert (first is None) == (sent == 0)
    task.try_number = 2
    with Service(config, where["request_topic"], doubled):
        assert task.run() == [2 * n for n in range(1000)]
    then = task.submitted
    assert then is not None
    assert first in (None, then)
    found = requests_in(config, where["request_topic"])
    assert Counter(r.correlation_id for r in found) == dict.fromkeys(then.last.job_ids(), 1)
    assert {request.created_at for request in found} == {then.last.created_at}
    assert {request.attempt for request in found} == {1}


def test_killed_triggerer_loses_no_job_of_the_batch(
    config: KafkaConfig,
    where: dict[str, Any],
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    """After a kill -9 in the middle, the trigger of another process fires."""
    second_half = threading.Event()

    def answer(request: JobRequest) -> StatusEvent:
        if number_of(request) >= 500:
            second_half.wait(60)
        return doubled(request)

    arguments = {**where, "payloads": numbers(1000), "progress_log_interval": 0.1}
    task = BatchTask(arguments)
    with Service(config, where["request_topic"], answer):
        trigger = task.submit()
        log = tmp_path / "trigger.log"
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_run_trigger, args=(trigger.serialize()[1], log))
        process.start()
        eventually(lambda: log.exists() and " jobs done" in log.read_text(), "it waits")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        second_half.set()
        fired = fired_by(trigger)
    assert fired == {"succeeded": 1000, "failed": 0, "total": 1000}
    assert task.resume(fired) == [2 * n for n in range(1000)]


def _run_trigger(arguments: dict[str, Any], log: Path) -> None:
    from kafka_bridge.airflow import KafkaJobBatchTrigger

    with log.open("w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        fired_by(KafkaJobBatchTrigger(**arguments))


def test_clearing_the_task_cancels_its_batch_and_submits_another(
    config: KafkaConfig, where: dict[str, Any]
) -> None:
    """The unfinished jobs of the first batch are cancelled."""
    task = BatchTask({**where, "payloads": numbers(20)})
    task.submit()
    old = task.submitted
    task.try_number, task.max_tries = 2, 4
    with Service(config, where["request_topic"], lambda r: doubled(r) if r.attempt > 1 else None):
        assert task.run() == [2 * n for n in range(20)]
    new = task.submitted
    assert old is not None
    assert new is not None
    assert (new.last.attempt, len(new.rounds)) == (2, 1)
    cancelled = [command.correlation_id for command in commands_in(config, where["control_topic"])]
    assert cancelled == old.last.job_ids()
    assert not set(old.last.job_ids()) & set(new.last.job_ids())


def test_too_many_non_retryable_errors_rule_out_retries(
    config: KafkaConfig, where: dict[str, Any]
) -> None:
    """The error names the first of them."""

    def answer(request: JobRequest) -> StatusEvent:
        odd = number_of(request) % 2
        return failed(request, retryable=False) if odd else doubled(request)

    arguments = {**where, "payloads": numbers(6), "on_failure": "collect", "max_failures": 2}
    with (
        Service(config, where["request_topic"], answer),
        pytest.raises(KafkaBatchFailedNonRetryable) as caught,
    ):
        BatchTask(arguments).run()
    assert str(caught.value) == (
        "3 of 6 jobs failed (at most 2 may fail): 3 × OddNumber. "
        "First error: payloads[1]: OddNumber: 1 is odd"
    )


def test_batch_from_a_parquet_file_to_a_results_file(
    config: KafkaConfig, where: dict[str, Any], tmp_path: Path
) -> None:
    """The task returns a summary."""
    source, target = tmp_path / "numbers.parquet", tmp_path / "new" / "results.jsonl"
    pq.write_table(pa.Table.from_pylist(numbers(2500)), source)
    arguments = {
        **where,
        "payloads_file": str(source),
        "results_file": str(target),
        "on_failure": "collect",
        "encoding": "json",
    }
    with Service(config, where["request_topic"], mostly_doubled):
        summary = BatchTask(arguments).run()
    odd = sum(n < 2500 for n in FAILING)
    assert summary == {
        "total": 2500,
        "succeeded": 2500 - odd,
        "failed": odd,
        "results_file": str(target),
    }
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(2500))
    assert Counter(line["state"] for line in lines) == {"SUCCEEDED": 2500 - odd, "FAILED": odd}
    assert lines[min(FAILING)]["error"]["details"] == "Traceback …"
    assert lines[0] == {"index": 0, "state": "SUCCEEDED", "result": 0}


def test_stock_service_does_a_batch_with_plain_replies(
    config: KafkaConfig, where: dict[str, Any]
) -> None:
    """Such a service knows nothing of the bridge: it reads payloads and replies by header.

    A retry submits only the jobs again that it has marked as failed.
    """
    asked: Counter[int] = Counter()

    def double(payload: dict[str, int]) -> tuple[bytes | None, Headers]:
        number = payload["n"]
        asked[number] += 1
        if number % 2 and asked[number] == 1:
            return None, [(NEST_ERROR, f'{{"message": "{number} is odd"}}'.encode())]
        return to_json({"doubled": 2 * number}), []

    arguments = {**where, "payloads": numbers(1000), "encoding": "json", "reply": "plain"}
    task = BatchTask({**arguments, "on_failure": "collect", "max_failures": 0})
    with PlainService(config, where["request_topic"], double):
        with pytest.raises(KafkaBatchFailed) as caught:
            task.run()
        assert task.run() == [{"doubled": 2 * n} for n in range(1000)]
    assert str(caught.value) == (
        "500 of 1,000 jobs failed: 500 × error. First error: payloads[1]: error: 1 is odd"
    )
    assert asked == {n: 1 + n % 2 for n in range(1000)}
    assert commands_in(config, where["control_topic"]) == []


def test_events_without_a_key_are_found_by_their_header(
    config: KafkaConfig, where: dict[str, Any]
) -> None:
    """A worker may leave the key out."""
    task = BatchTask({**where, "payloads": numbers(3)})
    trigger = task.submit()
    with RecordProducer(config) as producer:
        for request in requests_in(config, where["request_topic"]):
            header = (CORRELATION_ID, request.correlation_id.encode())
            producer.send(where["response_topic"], None, encode(doubled(request)), [header])
    assert task.resume(fired_by(trigger)) == [0, 2, 4]


def test_retry_with_another_number_of_payloads_is_refused(
    config: KafkaConfig, where: dict[str, Any]
) -> None:
    """The error says what to do."""
    task = BatchTask({**where, "payloads": numbers(10)})
    with Service(config, where["request_topic"], failed), pytest.raises(KafkaBatchFailed):
        task.run()
    task.arguments["payloads"] = numbers(12)
    with pytest.raises(ConfigurationError) as caught:
        task.submit()
    assert str(caught.value) == (
        "there are 12 payloads now, but there were 10 when the batch was submitted: "
        "a retry needs the same ones. Clear the task to submit the new ones."
    )


def test_payload_too_large_for_the_topic_is_named_before_anything_is_sent(
    config: KafkaConfig, where: dict[str, Any], topics: TopicFactory
) -> None:
    """The limit is that of the topic, which may be less than the producer's."""
    where["request_topic"] = topics("small", 1, {"max.message.bytes": "60000"})
    payloads = [b"x" * 40_000] * 7 + [b"x" * 70_000]
    with pytest.raises(RecordTooLarge, match=r"^payloads\[7\]: a record of 70,\d+ bytes is too "):
        BatchTask({**where, "payloads": payloads}).submit()
    assert requests_in(config, where["request_topic"]) == []

"""Handlers that fork, leave things behind or report too much, at a real worker on a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from integration.jobs import events
from integration.worker.endings import ends_of
from integration.worker.programs import Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.media_types import from_json
from kafka_bridge.protocol.messages import JobState, Progress
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import Eventually

    MakeStage = Callable[[], Stage]

S = JobState
RUNS = ("worker", "run", "odd_handlers:worker")
SMALL_TOPIC = {"max.message.bytes": "100000"}


@pytest.fixture
def odd(stage: Stage) -> Stage:
    """Give a stage for these handlers."""
    stage.runs = RUNS
    return stage


FORKS: list[tuple[str, Any, Any]] = [
    ("child.terminated", None, [-15]),
    ("child.interrupted", None, 1),
    ("child.pool", None, 450),
    ("child.executor", None, 90),
    ("child.exits", 3, 3),
    ("child.raises", None, 1),
    ("child.returns", None, 0),
    ("child.exits.async", None, 3),
]


def test_children_of_handlers_end_as_any_child_does(odd: Stage) -> None:
    """By SIGTERM, by SIGINT, by sys.exit(), by an exception and by themselves.

    None of them acts as the worker: no event of the child's is sent, and each job ends once.
    """
    program = odd.start("--concurrency", str(len(FORKS)))
    jobs = [odd.request(job_type, payload) for job_type, payload, _ in FORKS]
    odd.publish(*jobs)
    ended = {each.correlation_id: each for each in ends_of(odd, jobs)}
    results = {job.job_type: ended[job.correlation_id].result for job in jobs}
    assert {name: from_json(each) for name, each in results.items() if each is not None} == {
        job_type: result for job_type, _, result in FORKS
    }
    assert program.stop() == 0
    for job in jobs:
        seen = events(odd.config, odd.responses, job.correlation_id)
        assert {event.external_id for event in seen} == {None}
        assert not any("child" in (event.message or "") for event in seen)
        assert [event.sequence for event in seen] == list(range(len(seen)))
    assert "reports of a forked child process are not sent" in program.said
    assert "ValueError: in the child" in program.said


def is_there(process: int) -> bool:
    """Tell whether a process runs; a zombie has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("left", "begins"),
    [
        ([("leaves.child", True), ("leaves.child", False)], "(process "),
        ([("leaves.thread", None)], "(thread)"),
    ],
    ids=["children", "thread"],
)
def test_worker_ends_in_time_whatever_handlers_leave_behind(
    odd: Stage, left: list[tuple[str, Any]], begins: str, eventually: Eventually
) -> None:
    """SIGTERM ends it within grace and some seconds, and its children with it; its log says why.

    Python itself would wait: for children of multiprocessing, and for the threads of executors.
    """
    program = odd.start("--concurrency", "2", "--grace", "1")
    odd.publish(*[odd.request(job_type, payload) for job_type, payload in left])
    eventually(lambda: len(odd.noted("left")) == len(left), "the handlers have left them")
    children = [int(line.split()[2]) for line in odd.notes.read_text().splitlines()]
    began = time.monotonic()
    assert program.stop() == 0
    assert time.monotonic() - began < 20
    assert "does not end by itself. Ending it by force" in program.said
    assert begins in program.said
    eventually(lambda: not any(map(is_there, filter(None, children))), "the children end, too")


@pytest.fixture
def narrow(
    real_broker: Broker, producer: RecordProducer, odd: Stage, unique_name: Callable[[str], str]
) -> Iterator[Stage]:
    """Give a stage whose response topic takes no more than 100,000 bytes."""
    odd.responses = unique_name("responses")
    real_broker.create_topic(odd.responses, 1, SMALL_TOPIC)
    yield odd
    odd.close()
    real_broker.delete_topics([odd.responses])


def test_every_job_has_an_end_whatever_it_reports(narrow: Stage) -> None:
    """Texts and results without end, and those of jobs that end beside them, in one batch.

    Three results fit one by one, and together they would not; the fourth does not fit.
    """
    program = narrow.start("--concurrency", "8")
    sizes = [60_000, 60_000, 60_000, 2_000_000]
    jobs = [narrow.request("huge", size) for size in sizes]
    failing, telling = narrow.request("group"), narrow.request("chatty", heartbeat_interval_ms=200)
    narrow.publish(*jobs, failing, telling)
    ended = {each.correlation_id: each for each in ends_of(narrow, [*jobs, failing, telling])}
    *fitting, huge = [ended[job.correlation_id] for job in jobs]
    assert [each.state for each in fitting] == [S.SUCCEEDED] * 3
    assert (huge.state, huge.error and huge.error.type) == (S.FAILED, "result_too_large")
    assert (huge.external_id or "").endswith("(cut, 2,000,000 bytes in all)")
    said = [each.message for each in events(narrow.config, narrow.responses, huge.correlation_id)]
    assert any((text or "").endswith("(cut, 2,000,000 bytes in all)") for text in said)
    error = ended[failing.correlation_id].error
    assert error is not None
    assert (error.type, error.message[:14], error.retryable) == (
        "bucket_missing",
        "no such bucket",
        False,
    )
    told = events(narrow.config, narrow.responses, telling.correlation_id)
    figures = [each.progress for each in told if each.progress is not None]
    assert len(figures) >= 2, "heartbeats five times a second hold nothing back"
    assert (figures[-1], told[-2].message) == (Progress(1_000.0), "all done")
    assert "the external id has 2,000,000 bytes and was cut to 2,000" in program.said
    assert "is too large; publishing a smaller one" in program.said

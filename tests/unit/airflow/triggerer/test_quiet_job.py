"""What the log of a waiting job says while nothing happens, and when."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.triggerer import job_wait
from kafka_bridge.airflow.triggerer.log_budget import LogBudget
from kafka_bridge.airflow.triggerer.queue_watch import Answer, Look
from kafka_bridge.kafka.admin.queue_position import PartitionQueue, TopicQueue
from kafka_bridge.protocol.messages import JobState

from ..samples import T0, arrival, event
from ..trigger_runs import Runner, Wait, running

QUEUE = TopicQueue(3, {3: PartitionQueue(0, 4)})
ABSENT = TopicQueue(absent="no consumer group reads 'q': start the service's workers")
UNKNOWN = TopicQueue(unknown="no broker answered")


class Watch:
    """Stands in for the queue watch: answers at once, or when the test says so."""

    def __init__(self) -> None:
        self.queue = QUEUE
        self.paces: dict[int, float] = {}
        self.answers_at_once = True
        self.asked: list[tuple[str, str]] = []
        self.waiting: list[Answer] = []

    def ask(self, kafka_config_id: str, topic: str, answer: Answer) -> None:
        """Take a question."""
        self.asked.append((kafka_config_id, topic))
        self.waiting.append(answer)
        if self.answers_at_once:
            self.answer()

    def answer(self) -> list[bool]:
        """Answer all; return whether they logged it."""
        waiting, self.waiting = self.waiting, []
        return [each(Look(0.0, self.queue, self.paces)) for each in waiting]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Put a stand-in where jobs ask for the queue."""
    watch = Watch()
    monkeypatch.setattr(job_wait, "queue_watch", SimpleNamespace(ask=watch.ask))
    return watch


async def queued(run: Runner, seconds: float, **changes: Any) -> Wait:
    """Return the wait for a job that no worker accepts for that time."""
    return await run(**{"request_topic": "q", "schedule_to_start_timeout": seconds, **changes})


async def test_queued_job_says_so_seldom(run: Runner, watch: Watch) -> None:
    """After half a minute, one, five and fifteen minutes, and then in each quarter of an hour."""
    wait = await queued(run, 3601)
    assert wait.log == [
        ("info", f"Queued for {words}: 13 jobs before it, 3 workers")
        for words in ("30 s", "1 min", "5 min", "15 min", "30 min", "45 min", "1 h 0 min")
    ]
    assert set(watch.asked) == {("mine", "q")}
    assert wait.events[0]["error"] == "not_started"
    assert wait.clock.now == T0 + 3601


async def test_time_left_is_told_where_it_is_known(run: Runner, watch: Watch) -> None:
    """By the pace of the request's own partition."""
    watch.paces = {3: 0.05}
    wait = await queued(run, 40)
    assert wait.log == [
        ("info", "Queued for 30 s: 13 jobs before it, 3 workers, starts in about 4 min")
    ]


async def test_absent_workers_are_told_each_time(run: Runner, watch: Watch) -> None:
    """A person must act."""
    watch.queue = ABSENT
    wait = await queued(run, 100)
    assert wait.log == [
        ("info", f"Queued for {words}: no consumer group reads 'q': start the service's workers")
        for words in ("30 s", "1 min")
    ]


async def test_why_nothing_is_known_is_told_once(run: Runner, watch: Watch) -> None:
    """That the job is queued is told all the same."""
    watch.queue = UNKNOWN
    wait = await queued(run, 400)
    assert [line for _, line in wait.log] == [
        "Queued for 30 s: its place in the queue is not known: no broker answered",
        "Queued for 1 min",
        "Queued for 5 min",
    ]


async def test_released_job_is_queued_again(run: Runner, watch: Watch) -> None:
    """Its time begins anew."""
    wait = await run(
        (10.0, arrival(event(JobState.ACCEPTED))),
        (20.0, arrival(event(JobState.RELEASED))),
        request_topic="q",
        schedule_to_start_timeout=40.0,
    )
    assert [line for _, line in wait.log] == [
        "Accepted by worker w-1",
        "Released by worker w-1; waiting for another worker",
        "Queued for 30 s: 13 jobs before it, 3 workers",
    ]


async def test_accepted_job_asks_for_nothing(run: Runner, watch: Watch) -> None:
    """Also if it is accepted before its answer comes."""
    watch.answers_at_once = False
    wait = await run(
        (30.0, None),
        arrival(event(JobState.ACCEPTED)),
        arrival(event(JobState.SUCCEEDED)),
        request_topic="q",
    )
    assert len(watch.asked) == 1
    assert watch.answer() == [False]
    assert [line for _, line in wait.log] == ["Accepted by worker w-1"]


async def test_job_that_has_ended_logs_no_late_answer(run: Runner, watch: Watch) -> None:
    """Its task may have resumed already. One question is enough until it is answered."""
    watch.answers_at_once = False
    wait = await queued(run, 1000)
    assert len(watch.asked) == 1
    assert watch.answer() == [False]
    assert wait.log == []


async def test_trigger_of_a_job_that_was_queued_before_speaks_at_the_next_time(
    run: Runner, watch: Watch
) -> None:
    """Another triggerer has said the earlier ones. It first reads what arrived meanwhile."""
    wait = await queued(run, 2000, submitted_at=T0 - 890)
    assert [line.partition(":")[0] for _, line in wait.log] == [
        "Queued for 15 min",
        "Queued for 30 min",
    ]
    assert wait.log[0] == ("info", "Queued for 15 min: 13 jobs before it, 3 workers")


async def test_nothing_is_said_while_the_reader_is_not_live(run: Runner, watch: Watch) -> None:
    """The job may have been accepted meanwhile."""
    done = arrival(event(JobState.SUCCEEDED))
    wait = await run(*[(30.0, None)] * 9, done, live_since=math.inf, request_topic="q")
    assert (watch.asked, wait.log) == ([], [])


async def test_trigger_that_an_earlier_version_has_stored_says_nothing_of_the_queue(
    run: Runner, watch: Watch
) -> None:
    """It does not know the request topic."""
    wait = await queued(run, 1000, request_topic="")
    assert (watch.asked, wait.log) == ([], [])


async def test_job_with_a_plain_reply_says_that_there_is_none(run: Runner, watch: Watch) -> None:
    """Nobody knows whether it is queued or runs."""
    wait = await queued(run, 40, reply=Reply.PLAIN, heartbeat_timeout=None)
    assert [line for _, line in wait.log] == ["No reply for 30 s: 13 jobs before it, 3 workers"]


async def test_silent_worker_is_a_warning_after_half_of_the_heartbeat_timeout(
    run: Runner, watch: Watch
) -> None:
    """Once, and again after the next silence."""
    wait = await run(
        arrival(event(JobState.ACCEPTED)), (45.0, None), (35.0, running(1)), request_topic="q"
    )
    silence = "Worker w-1 has published nothing for 45 s; the task stops waiting after 90 s"
    assert wait.log == [
        ("info", "Accepted by worker w-1"),
        ("warning", silence),
        ("info", "10 %: 1 of 10"),
        ("warning", silence),
    ]
    assert wait.events[0]["error"] == "worker_lost"
    assert wait.clock.now == T0 + 80 + 90
    assert watch.asked == []


async def test_silence_is_not_logged_where_the_log_of_the_process_is_full(
    run: Runner,
) -> None:
    """A later line would be wrong: the worker may be back."""
    wait = await run(
        arrival(event(JobState.ACCEPTED)), budget=lambda: LogBudget(lines=0, burst_lines=1)
    )
    assert [line for _, line in wait.log] == ["Accepted by worker w-1"]
    assert wait.events[0]["error"] == "worker_lost"

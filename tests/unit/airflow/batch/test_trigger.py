"""The batch's trigger with a scripted reader and a clock that only moves when somebody waits."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Any, Self, TypeAlias

import pytest

from kafka_bridge.airflow import KafkaJobBatchTrigger, kafka_access, resume_delay
from kafka_bridge.airflow.batch import trigger as trigger_module
from kafka_bridge.airflow.batch import wait as wait_module
from kafka_bridge.airflow.triggerer import cancel, job_log, log_budget
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS
from kafka_bridge.airflow.triggerer.waiter import JobNotice, Waiter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.subscriptions import Truncated
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    AccessDenied,
    BrokerUnreachable,
    RecordLocation,
    Undecodable,
)
from kafka_bridge.protocol.ids import batch_job_ids
from kafka_bridge.protocol.messages import JobState

from ..samples import JOB, T0, TOPIC, arrival, event

JOBS = batch_job_ids(JOB, 4)
ARGUMENTS: dict[str, Any] = {
    "batch_id": JOB,
    "count": 4,
    "kafka_config_id": "mine",
    "response_topic": TOPIC,
    "control_topic": "control",
    "encoding": "json",
    "start_offsets": [4, 5, 6],
    "submitted_at": T0,
    "on_failure": "collect",
    "timeout": 1000.0,
    "heartbeat_timeout": 90.0,
    "schedule_to_start_timeout": 500.0,
    "progress_log_interval": 5.0,
    "not_before": T0 + 8,
    "resume_delay": 8.0,
}
CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


Step: TypeAlias = tuple[float, JobNotice]
"""A pause, and a notice after it."""


@dataclass
class Stage:
    """Stands in for the clock, the reader, the log and the control topic.

    The reader gives the notices of a script, each after a pause; at the script's end time goes by.
    """

    script: deque[Step] = field(default_factory=deque)
    now: float = T0
    live_since: float = 0.0
    lines: list[str] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    cancelled: list[tuple[str, list[str], str | None]] = field(default_factory=list)
    cancel_failure: Exception | None = None
    """Raised when jobs are to be cancelled."""

    def time(self) -> float:
        """Return seconds since 1970."""
        return self.now

    monotonic = time

    async def sleep(self, seconds: float) -> None:
        """Let time go by, and others have their turn."""
        await asyncio.sleep(0)
        self.now += max(0.0, seconds)

    async def join_hub(self, waiter: Waiter, kafka_config_id: str, topic: str) -> Self:
        """Take the place of the waiter."""
        self.asked.append(([key.decode() for key in waiter.keys], kafka_config_id, topic))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Be left."""

    async def next(self, deadline: float) -> JobNotice | None:
        """Return what comes before the deadline, or None."""
        if self.script and self.now + self.script[0][0] <= max(self.now, deadline):
            pause, told = self.script.popleft()
            self.now += pause
            return told
        passed = max(0.0, deadline - self.now)
        if self.script:
            self.script[0] = (self.script[0][0] - passed, self.script[0][1])
        self.now += passed
        return None

    def cancel_all(
        self,
        config: KafkaConfig,
        topic: str,
        jobs: list[str],
        reason: str | None,
        *,
        encoding: Encoding,
        timeout: float,
    ) -> None:
        """Take commands, or fail."""
        assert (config, encoding, timeout) == (CONFIG, Encoding.JSON, cancel.DELIVERY_SECONDS)
        if self.cancel_failure:
            raise self.cancel_failure
        self.cancelled.append((topic, jobs, reason))

    def info(self, words: str, *arguments: object) -> None:
        """Keep a line."""
        self.lines.append(words % arguments)

    warning = error = info

    def log(self, _level: int, words: str, *arguments: object) -> None:
        """Keep a line at any level."""
        self.info(words, *arguments)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Put the stand-ins in their places."""
    stand_in = Stage()
    threads = SimpleNamespace(to_thread=asyncio.to_thread, sleep=stand_in.sleep)
    for module in (trigger_module, wait_module, resume_delay):
        monkeypatch.setattr(module, "time", stand_in)
    for module in (wait_module, resume_delay):
        monkeypatch.setattr(module, "asyncio", threads)
    monkeypatch.setattr(job_log, "time", stand_in)
    monkeypatch.setattr(log_budget, "time", stand_in)
    monkeypatch.setattr(wait_module, "PROCESS_BUDGET", log_budget.LogBudget())
    monkeypatch.setattr(wait_module, "join_hub", stand_in.join_hub)
    monkeypatch.setattr(kafka_access, "kafka_config", {"mine": CONFIG}.get)
    monkeypatch.setattr(kafka_access, "cancel_all", stand_in.cancel_all)
    monkeypatch.setattr(KafkaJobBatchTrigger, "log", stand_in)
    return stand_in


def published(number: int, state: JobState, pause: float = 0.0, **fields: Any) -> Step:
    """Return an event of one of the jobs, ``pause`` seconds after the step before."""
    job = JOBS[number]
    return pause, (job, arrival(event(state, correlation_id=job, **fields)))


async def run(stage: Stage, *script: Step, **changes: Any) -> dict[str, Any]:
    """Run a trigger on a script; return its one event."""
    stage.script.extend(script)
    trigger = KafkaJobBatchTrigger(**{**ARGUMENTS, **changes})
    async with asyncio.timeout(30):
        (fired,) = [each.payload async for each in trigger.run()]
    return dict(fired)


async def test_collected_batch_waits_for_all_jobs(stage: Stage) -> None:
    """The event has the counts, and fires only when the task may be resumed."""
    fired = await run(
        stage,
        published(2, JobState.FAILED),
        published(0, JobState.ACCEPTED),
        published(0, JobState.SUCCEEDED, 2),
        published(0, JobState.FAILED),
        published(3, JobState.CANCELLED),
        published(1, JobState.SUCCEEDED, 1),
    )
    assert fired == {"succeeded": 2, "failed": 2, "total": 4}
    assert stage.asked == [(JOBS, "mine", TOPIC)]
    assert stage.now == T0 + 8
    assert stage.cancelled == []


async def test_flood_of_events_does_not_block_the_event_loop(stage: Stage) -> None:
    """All triggers of the process run on it."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    stage.script.extend(published(0, JobState.RUNNING) for _ in range(10_000))
    wait = wait_module.BatchWait(KafkaJobBatchTrigger(**ARGUMENTS).spec, stage)
    other = asyncio.create_task(take_turns())
    stage.script.extend(published(number, JobState.SUCCEEDED) for number in range(4))
    await wait.outcome()
    other.cancel()
    assert turns >= 9


async def test_first_failure_cancels_the_unfinished_jobs_of_a_fail_fast_batch(stage: Stage) -> None:
    """It ends the wait at once."""
    fired = await run(
        stage,
        published(2, JobState.SUCCEEDED),
        published(0, JobState.FAILED, 1),
        published(1, JobState.SUCCEEDED, 100),
        on_failure="fail_fast",
    )
    assert fired == {"succeeded": 1, "failed": 1, "total": 4}
    assert stage.cancelled == [
        ("control", [JOBS[1], JOBS[3]], "another job of the batch has failed")
    ]
    assert stage.now == T0 + 8
    assert "2 jobs: CANCEL published: another job of the batch has failed" in stage.lines


async def test_service_with_plain_replies_gets_no_commands(stage: Stage) -> None:
    """Whatever ends the wait."""
    fired = await run(stage, published(0, JobState.FAILED), on_failure="fail_fast", reply="plain")
    assert fired == {"succeeded": 0, "failed": 1, "total": 4}
    assert (await run(stage, reply="plain"))["error"] == "not_started"
    assert stage.cancelled == []


async def test_failure_to_cancel_is_logged_and_hides_no_failed_job(stage: Stage) -> None:
    """The event is the same."""
    stage.cancel_failure = BrokerUnreachable("no broker answered")
    fired = await run(stage, published(0, JobState.FAILED), on_failure="fail_fast")
    assert fired == {"succeeded": 0, "failed": 1, "total": 4}
    assert "3 jobs: publishing CANCEL failed: no broker answered" in stage.lines


@pytest.mark.parametrize("cancels", [True, False])
async def test_timeout_cancels_the_unfinished_jobs(stage: Stage, cancels: bool) -> None:
    """If it may; the event says why the wait ended."""
    fired = await run(
        stage,
        published(0, JobState.ACCEPTED),
        published(1, JobState.SUCCEEDED, 20),
        cancel_on_kill=cancels,
    )
    words = "no worker has published anything for 90 s: 1 of 4 jobs done, 1 running, 2 queued"
    assert fired == {"error": "worker_lost", "message": words}
    assert stage.now == pytest.approx(T0 + 110, abs=1)
    left = [("control", [JOBS[0], JOBS[2], JOBS[3]], words)]
    assert stage.cancelled == (left if cancels else [])


async def test_no_timeout_expires_while_the_reader_is_not_live(stage: Stage) -> None:
    """While the brokers are unreachable, the time does not count."""
    stage.live_since = math.inf
    script = [published(n, JobState.SUCCEEDED, 2000) for n in range(4)]
    assert await run(stage, *script) == {"succeeded": 4, "failed": 0, "total": 4}


async def test_trigger_that_begins_after_the_timeout_first_reads_older_events(stage: Stage) -> None:
    """It has a margin for that."""
    script = [published(n, JobState.SUCCEEDED, 7) for n in range(4)]
    assert (await run(stage, *script, submitted_at=T0 - 9999))["succeeded"] == 4
    fired = await run(stage, submitted_at=T0 - 9999)
    assert fired["error"] == "deadline_exceeded"
    assert stage.now == pytest.approx(T0 + 28 + MARGIN_SECONDS, abs=1)


async def test_progress_is_logged_once_in_an_interval(stage: Stage) -> None:
    """And only if something has changed."""
    script = [published(0, JobState.RUNNING, 0.1) for _ in range(97)]
    script += [published(n, JobState.SUCCEEDED, 6) for n in range(4)]
    await run(stage, *script)
    assert stage.lines == [
        "0 %: 0 of 4 jobs done, 0 running, 4 queued",
        "0 %: 0 of 4 jobs done, 1 running, 3 queued",
        "25 %: 1 of 4 jobs done, 0 running, 3 queued – 3.8/min, 48 s left",
        "50 %: 2 of 4 jobs done, 0 running, 2 queued – 5.5/min, 22 s left",
        "75 %: 3 of 4 jobs done, 0 running, 1 queued – 6.4/min, 9 s left",
    ]


async def test_warnings_are_logged_once_in_an_interval(stage: Stage) -> None:
    """However many records are damaged."""
    unreadable = Undecodable("neither Avro nor JSON", RecordLocation(TOPIC, 2, 16))
    script: list[Step] = [(0.1, (JOBS[0], unreadable))] * 60
    script += [(0, (JOBS[1], Truncated(1, 7, 9)))] * 60
    script += [published(n, JobState.SUCCEEDED) for n in range(4)]
    await run(stage, *script)
    unread = "A response to this batch cannot be read: jobs.responses[2]@16: "
    assert [line for line in stage.lines if "%" not in line] == [
        *[f"{unread}neither Avro nor JSON"] * 2,
        "Responses to this batch may be lost: jobs.responses[1] begins at offset 9, but this batch "
        "needs it from offset 7 on. The topic's retention is too short. The batch goes on until it "
        "finishes or times out.",
    ]


async def test_reader_failure_ends_the_wait_and_cancels_nothing(stage: Stage) -> None:
    """The event has the error; a retry goes on waiting."""
    fired = await run(stage, (0.0, (JOBS[0], AccessDenied("Kafka refused access"))))
    assert fired == {"error": "AccessDenied", "message": "Kafka refused access"}
    assert stage.cancelled == []
    assert stage.now == T0 + 8


async def killed(trigger: KafkaJobBatchTrigger, *, after: str) -> None:
    """Run a trigger as Airflow does, and kill it when it waits, has fired or was never begun."""
    running = trigger.run()
    if after == "firing":
        await anext(running)
    elif after == "waiting":
        task = asyncio.ensure_future(anext(running))
        async with asyncio.timeout(30):
            while trigger._wait is None or trigger._wait._timeouts is None:  # noqa: ASYNC110  a thread makes it
                await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await trigger.on_kill()


@pytest.mark.parametrize(
    ("after", "cancel_on_kill", "left"),
    [
        ("waiting", True, [JOBS[1], JOBS[3]]),
        ("waiting", False, []),
        ("firing", True, []),
        ("nothing", True, []),
    ],
)
async def test_ending_the_task_cancels_its_unfinished_jobs(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    after: str,
    cancel_on_kill: bool,
    left: list[str],
) -> None:
    """A person who ends the task cancels what is unfinished; not once the event was fired."""
    stage.script.extend([published(0, JobState.SUCCEEDED), published(2, JobState.FAILED)])
    if after == "firing":
        stage.script.extend([published(1, JobState.SUCCEEDED), published(3, JobState.SUCCEEDED)])

    async def next_or_never(self: Stage, _: float) -> JobNotice | None:
        if not self.script:
            await asyncio.Event().wait()
        return self.script.popleft()[1]

    monkeypatch.setattr(Stage, "next", next_or_never)
    monkeypatch.setattr(cancel, "is_in_state", lambda *_: False)
    await killed(
        KafkaJobBatchTrigger(**{**ARGUMENTS, "cancel_on_kill": cancel_on_kill}), after=after
    )
    assert [job for _, jobs, _ in stage.cancelled for job in jobs] == left


async def test_takeover_by_another_triggerer_cancels_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is still deferred then."""
    monkeypatch.setattr(cancel, "is_in_state", lambda _, state: state == "deferred")

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Stage, "next", never)
    trigger = KafkaJobBatchTrigger(**ARGUMENTS)
    monkeypatch.setattr(KafkaJobBatchTrigger, "task_instance", SimpleNamespace(), raising=False)
    await killed(trigger, after="waiting")
    assert stage.cancelled == []
    words = "goes on: its task is still deferred, so another triggerer waits for it"
    assert stage.lines[-1] == f"Batch {JOB} {words}"

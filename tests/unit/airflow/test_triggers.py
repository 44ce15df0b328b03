"""The trigger with a scripted reader and a clock that only moves when somebody waits."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from kafka_bridge.airflow import resume_delay, triggers
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.triggerer import cancel, job_log, job_wait
from kafka_bridge.airflow.triggerer.job_log import LogBudget
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS
from kafka_bridge.airflow.triggerer.waiter import JobNotice, Waiter
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.event_readers import HeadReader, event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Arrival, Notice, Truncated
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import (
    AccessDenied,
    ConfigurationError,
    ReaderClosed,
    RecordLocation,
    Undecodable,
)
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobFailure,
    JobState,
    Progress,
)

from .samples import JOB, T0, TOPIC, arrival, event

ARGUMENTS: dict[str, Any] = {
    "correlation_id": JOB,
    "kafka_config_id": "mine",
    "response_topic": TOPIC,
    "start_offsets": [4, 5, 6],
    "submitted_at": T0,
    "schedule_to_start_timeout": 100.0,
    "heartbeat_timeout": 90.0,
    "start_to_close_timeout": 1000.0,
    "progress_log_interval": 5.0,
    "not_before": T0 + 8,
    "resume_delay": 8.0,
    "job_type": "files.audit",
    "control_topic": "jobs.control",
    "encoding": "json",
    "cancel_on_kill": True,
    "end_from_trigger": False,
    "reply": "events",
}
UNREADABLE = Undecodable("neither Avro nor JSON", RecordLocation(TOPIC, 2, 16))
DONE = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


@dataclass
class Clock:
    """Stands in for the module ``time``: begins at T0, and moves when somebody waits."""

    now: float = T0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        """Return seconds since 1970."""
        return self.now

    monotonic = time

    async def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.slept.append(seconds)
        self.now += max(0.0, seconds)


@dataclass
class Reader:
    """Stands in for the process's reader: gives the notices of a script, each after a pause.

    None is a waking without news. At the script's end time goes by until the deadline.
    """

    clock: Clock
    script: deque[tuple[float, Notice | None]]
    live_since: float = 0.0
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    open: bool = False
    read_head: HeadReader | None = None

    async def join_hub(self, waiter: Waiter, kafka_config_id: str, topic: str) -> Reader:
        """Take the place of the waiter, until the block ends."""
        (job,) = waiter._subscriptions
        self.asked.append((job.key.decode(), kafka_config_id, topic, list(job.positions)))
        self.read_head = job.read_head
        return self

    def __enter__(self) -> Self:
        self.open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.open = False

    async def next(self, deadline: float | None) -> JobNotice | None:
        """Return the next notice, or None at the deadline."""
        if self.script:
            pause, notice = self.script.popleft()
            self.clock.now += pause
            return None if notice is None else (JOB, notice)
        assert deadline is not None, "nothing would ever end this wait"
        self.clock.now = max(self.clock.now, deadline)
        return None


class Log:
    """Keeps the lines that a trigger logs, and at which level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, words: str, *arguments: object) -> None:
        """Keep a line."""
        self.lines.append(("info", words % arguments))

    def warning(self, words: str, *arguments: object) -> None:
        """Keep a warning."""
        self.lines.append(("warning", words % arguments))

    def error(self, words: str, *arguments: object) -> None:
        """Keep an error."""
        self.lines.append(("error", words % arguments))


@dataclass
class Wait:
    """What came of a wait: the events, the log, and who was asked for what."""

    fired: list[TriggerEvent]
    log: list[tuple[str, str]]
    reader: Reader
    clock: Clock
    trigger: KafkaJobTrigger

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the events say."""
        return [each.payload for each in self.fired]


class Runner:
    """Runs triggers on the stand-ins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    async def __call__(
        self,
        *script: Notice | tuple[float, Notice | None],
        live_since: float = 0.0,
        **changes: Any,
    ) -> Wait:
        """Run one trigger to its end; a notice without a pause comes at once."""
        clock, log = Clock(), Log()
        steps = deque(step if isinstance(step, tuple) else (0.0, step) for step in script)
        reader = Reader(clock, steps, live_since)
        self._patch.setattr(triggers, "time", clock)
        self._patch.setattr(resume_delay, "time", clock)
        self._patch.setattr(resume_delay, "asyncio", SimpleNamespace(sleep=clock.sleep))
        self._patch.setattr(job_wait, "time", clock)
        self._patch.setattr(job_log, "time", clock)
        self._patch.setattr(job_wait, "PROCESS_BUDGET", LogBudget())
        self._patch.setattr(job_wait, "join_hub", reader.join_hub)
        self._patch.setattr(KafkaJobTrigger, "log", log)
        trigger = KafkaJobTrigger(**{**ARGUMENTS, **changes})
        async with asyncio.timeout(30):
            fired = [each async for each in trigger.run()]
        assert not reader.open
        return Wait(fired, log.lines, reader, clock, trigger)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Give a function that runs a trigger on a script of notices."""
    return Runner(monkeypatch)


def running(completed: int, **fields: Any) -> Arrival:
    """Return a progress event."""
    return arrival(event(JobState.RUNNING, progress=Progress(completed, 10), **fields))


def test_what_airflow_stores() -> None:
    """A trigger's arguments survive Airflow's database as plain JSON, and make the same trigger."""
    path, arguments = KafkaJobTrigger(**ARGUMENTS).serialize()
    assert path == "kafka_bridge.airflow.triggers.KafkaJobTrigger"
    assert arguments == ARGUMENTS
    stored = json.loads(json.dumps(arguments, allow_nan=False))
    assert KafkaJobTrigger(**stored).serialize() == (path, arguments)


def test_stored_arguments_name_the_connection_and_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a secret nor a payload stands in Airflow's database: only these facts do."""
    secret = {"conn_type": "kafka", "extra": {"sasl.password": "very-secret"}}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(secret))
    _, arguments = KafkaJobTrigger(**ARGUMENTS).serialize()
    assert arguments.keys() == ARGUMENTS.keys()
    assert "secret" not in json.dumps(arguments)


async def test_it_asks_for_its_own_job(run: Runner) -> None:
    """The reader is told the job, the connection, the topic, and from where on it may have spoken.

    It is let go before the event fires: nothing slow happens after that.
    """
    wait = await run(arrival(event(JobState.SUCCEEDED)))
    assert wait.reader.asked == [(JOB, "mine", TOPIC, [4, 5, 6])]


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_event_of_an_ended_job(run: Runner, state: JobState) -> None:
    """One event says the state and where the record lies; not what stands in it."""
    end = event(
        state,
        result=b"x" * 10_000,
        result_type="text/plain",
        error=JobFailure("oops", "y" * 10_000),
    )
    wait = await run(arrival(end, partition=1, offset=123_456_789))
    assert wait.events == [{"state": state.value, "partition": 1, "offset": 123_456_789}]
    assert len(json.dumps(wait.events[0])) < 100


async def test_what_is_heard_goes_before_the_end(run: Runner) -> None:
    """The first terminal event ends the wait, whatever came before and comes after it."""
    wait = await run(
        arrival(event(JobState.ACCEPTED)),
        running(3),
        arrival(event(JobState.SUCCEEDED)),
        arrival(event(JobState.FAILED), offset=18),
    )
    assert wait.events == [DONE]


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("Kafka refused access"),
        ReaderClosed("the reader was closed"),
        ConfigurationError("no such connection"),
    ],
)
async def test_reader_that_fails(run: Runner, error: Any) -> None:
    """When the reader ends, the wait ends as well, with the error's type and words."""
    wait = await run(arrival(event(JobState.ACCEPTED)), error)
    assert wait.events == [{"error": type(error).__name__, "message": str(error)}]


async def test_connection_that_cannot_be_used(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that cannot be opened is an event too, not a trigger that dies."""
    monkeypatch.setattr(Reader, "join_hub", _refuse)
    wait = await run()
    assert wait.events == [{"error": "ConfigurationError", "message": "no such connection"}]


async def _refuse(*_: object, **__: object) -> Reader:
    raise ConfigurationError("no such connection")


async def test_unreadable_response(run: Runner) -> None:
    """A record under the job's key that is no event is logged, and the wait goes on."""
    wait = await run(UNREADABLE, arrival(event(JobState.SUCCEEDED)))
    assert wait.events == [DONE]
    assert wait.log == [
        ("warning", f"A response to this job cannot be read: {TOPIC}[2]@16: neither Avro nor JSON")
    ]


async def test_unreadable_responses_are_logged_sparingly(run: Runner) -> None:
    """A flood of them costs one line for each progress interval: lines slow the triggerer."""
    flood = [UNREADABLE] * 1000
    wait = await run(*flood, (4.9, UNREADABLE), (0.1, UNREADABLE), arrival(event(JobState.FAILED)))
    assert len(wait.log) == 2


async def test_unreadable_response_is_no_sign_of_life(run: Runner) -> None:
    """A worker that sends junk is as silent as one that sends nothing."""
    wait = await run(arrival(event(JobState.ACCEPTED)), (60.0, UNREADABLE))
    assert wait.events[0]["error"] == "worker_lost"
    assert wait.clock.now == T0 + 90


async def test_records_lost_to_retention(run: Runner) -> None:
    """The log says what is lost and why, and the wait goes on under its time-outs."""
    wait = await run(Truncated(partition=2, wanted=6, first=40))
    ((level, words),) = wait.log
    assert level == "warning"
    assert f"{TOPIC}[2] begins at offset 40" in words
    assert "retention" in words
    assert wait.events[0]["error"] == "not_started"


TIME_OUTS = [
    ([], "not_started", "no worker accepted the job within 100 s", 100),
    ([JobState.ACCEPTED], "worker_lost", "worker w-1 has published nothing for 90 s", 91),
    (
        [JobState.RUNNING] * 12,
        "deadline_exceeded",
        "the job ran longer than 1000 s on worker w-1",
        1000,
    ),
]


@pytest.mark.parametrize(("states", "error", "words", "at"), TIME_OUTS)
async def test_waiting_rules_end_the_wait(
    run: Runner, states: list[JobState], error: str, words: str, at: float
) -> None:
    """Each rule is an event of its own type, fired at its own moment."""
    pause = 1.0 if len(states) == 1 else 89.0
    script = [(pause, arrival(event(state, at=0))) for state in states]
    wait = await run(*script)
    assert wait.events == [{"error": error, "message": words}]
    assert wait.clock.now == max(T0 + at, T0 + pause * len(states))


async def test_waking_is_no_deadline(run: Runner) -> None:
    """A waiter that is woken early looks at its deadlines again, and goes on waiting."""
    wait = await run((10.0, None), (10.0, None), (10.0, arrival(event(JobState.SUCCEEDED))))
    assert wait.events == [DONE]


async def test_no_rule_fires_while_the_reader_hears_nothing(run: Runner) -> None:
    """With the brokers away for longer than every time-out, the job's result still counts."""
    done = arrival(event(JobState.SUCCEEDED))
    wait = await run((5000.0, None), (5000.0, done), live_since=math.inf)
    assert wait.events == [DONE]


async def test_late_trigger_catches_up_first(run: Runner) -> None:
    """A trigger that starts when all time-outs have passed waits for the past to be read."""
    wait = await run(submitted_at=T0 - 5000)
    assert wait.events[0]["error"] == "not_started"
    assert wait.clock.now == T0 + MARGIN_SECONDS
    wait = await run((29.0, arrival(event(JobState.SUCCEEDED))), submitted_at=T0 - 5000)
    assert wait.events == [DONE]


@pytest.mark.parametrize(
    ("ended_after", "fired_after"), [(0.5, 8.0), (8.0, 8.0), (60.0, 60.0)], ids=str
)
async def test_not_before(run: Runner, ended_after: float, fired_after: float) -> None:
    """No event fires before the moment that the operator set, and none is held longer."""
    wait = await run((ended_after, arrival(event(JobState.SUCCEEDED))))
    assert wait.events == [DONE]
    assert wait.clock.now == T0 + fired_after


@pytest.mark.parametrize(
    ("late", "held"),
    [(0, 8), (2, 6), (4, 8), (9, 13), (30, 14), (61, 0), (3600, 0), (-3, 11), (-3600, 16)],
)
async def test_deferral_that_was_reported_late(run: Runner, late: float, held: float) -> None:
    """A trigger that begins late, as its task's deferral was slow, holds its event from then on.

    One that begins a minute later or more belongs to a task that was deferred long ago. One that
    begins before the deferral has another clock than the worker.
    """
    begun_late = {"not_before": T0 + 8 - late, "submitted_at": T0 - late}
    wait = await run(arrival(event(JobState.SUCCEEDED)), **begun_late)
    assert wait.events == [DONE]
    assert wait.clock.now == T0 + held


async def test_time_out_respects_not_before(run: Runner) -> None:
    """An error event is held back just the same."""
    wait = await run(AccessDenied("Kafka refused access"))
    assert wait.clock.now == T0 + 8


async def test_progress_is_logged_sparingly(run: Runner) -> None:
    """Of many progress events in an interval, the first is logged; each change of hands is."""
    wait = await run(
        arrival(event(JobState.ACCEPTED)),
        running(1),
        (1.0, running(2)),
        (3.9, running(3)),
        (0.1, running(4)),
        arrival(event(JobState.RELEASED)),
        arrival(event(JobState.ACCEPTED, delivery=2)),
        (4.9, running(5, delivery=2)),
        (0.1, running(6, delivery=2)),
        arrival(event(JobState.SUCCEEDED, delivery=2)),
    )
    assert wait.log == [
        ("info", "Accepted by worker w-1"),
        ("info", "10 %: 1 of 10"),
        ("info", "40 %: 4 of 10"),
        ("info", "Handed back by worker w-1; waiting for another one"),
        ("info", "Accepted by worker w-1 (delivery 2)"),
        ("info", "60 %: 6 of 10"),
    ]


async def test_heartbeats_and_stale_events_are_not_logged(run: Runner) -> None:
    """What tells a person nothing costs no line, and does not delay the next one."""
    wait = await run(
        arrival(event(JobState.ACCEPTED, delivery=2)),
        arrival(event(JobState.RUNNING, delivery=2)),
        running(1, delivery=1),
        running(2, delivery=2),
        arrival(event(JobState.SUCCEEDED)),
    )
    assert [words for _, words in wait.log] == [
        "Accepted by worker w-1 (delivery 2)",
        "20 %: 2 of 10",
    ]


async def test_message_is_one_line_of_limited_length(run: Runner) -> None:
    """Ten megabytes of message with newlines are one line that states what was cut."""
    wait = await run(
        arrival(event(JobState.RUNNING, message="first\n" + "x" * 10_000_000)),
        arrival(event(JobState.SUCCEEDED)),
    )
    ((_, line),) = wait.log
    assert line.startswith("first\\n")
    assert len(line.encode()) <= job_limits().message
    assert "(cut, " in line


async def test_more_events_than_are_read(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood costs no more decoding than the limit, is told once, and is a sign of life."""
    decoded = 0
    decode_one = Arrival.event

    def count(self: Arrival) -> Any:
        nonlocal decoded
        decoded += 1
        return decode_one(self)

    monkeypatch.setattr(Arrival, "event", count)
    flood = [(0.01, running(number % 10)) for number in range(9000)]  # 90 s
    wait = await run(arrival(event(JobState.ACCEPTED)), *flood)
    assert decoded <= job_limits().events_per_second * 92 + 1
    warnings = [line for level, line in wait.log if level == "warning"]
    assert len(warnings) == 1
    assert "max_events_per_second" in warnings[0]
    assert wait.events[0]["error"] == "worker_lost"
    assert wait.clock.now == pytest.approx(T0 + 90 + 90)


async def test_flood_lets_others_have_their_turn(run: Runner) -> None:
    """All tasks wait on one event loop: who has much to read does not keep it."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(take_turns())
    await run(*[running(1)] * 1000, arrival(event(JobState.SUCCEEDED)))
    other.cancel()
    assert turns >= 9


async def test_large_events_count_as_several(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ten events a second of 0.9 MB would keep the triggerer's loop busy."""
    read: list[Arrival] = []
    decode_one = Arrival.event
    monkeypatch.setattr(Arrival, "event", lambda self: read.append(self) or decode_one(self))  # type: ignore[func-returns-value]
    large = arrival(event(JobState.RUNNING, message="x" * 900_000))
    await run(*[(0.1, large)] * 100, (0.1, arrival(event(JobState.SUCCEEDED))))  # 10 s
    assert 1 <= len(read) <= (10 + 2) * job_limits().events_per_second / 14 + 1


async def test_head_alone_starts_a_job_and_hands_it_back(run: Runner) -> None:
    """Events that are not read whole still count for the time-outs."""
    flood = [running(1)] * 50
    wait = await run(
        *flood,
        arrival(event(JobState.RELEASED)),
        (99.0, None),
        schedule_to_start_timeout=100.0,
    )
    assert wait.events[0]["error"] == "not_started"
    assert wait.clock.now == T0 + 100


async def test_limits_that_make_no_sense_end_the_wait_in_words(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer that is configured otherwise than the workers fails the task, not itself."""
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__MAX_MESSAGE_BYTES", "many")
    job_limits.cache_clear()
    wait = await run()
    monkeypatch.undo()
    job_limits.cache_clear()
    assert wait.events[0]["error"] == "ConfigurationError"
    assert "max_message_bytes" in wait.events[0]["message"]


# Ending the task here.


def result(data: bytes | None, media_type: str | None = "application/json") -> Arrival:
    """Return the end of a job that has succeeded."""
    return arrival(event(JobState.SUCCEEDED, result=data, result_type=data and media_type))


async def fired(run: Runner, end: Arrival) -> TriggerEvent:
    """Return what a trigger fires that may end its task."""
    wait = await run(end, end_from_trigger=True)
    (only,) = wait.fired
    return only


async def test_success_ends_the_task_here(run: Runner) -> None:
    """The result is the task's XCom, at once: a task that is not resumed cannot be so too soon."""
    wait = await run(result(b'{"files":3}'), end_from_trigger=True)
    (only,) = wait.fired
    assert isinstance(only, TaskSuccessEvent)
    assert only.xcoms == {"return_value": {"files": 3}}
    assert wait.clock.now == T0


async def test_success_that_cannot_be_told_here_goes_the_way_of_the_worker(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong: a job that has succeeded does not fail its task for that."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("statsd")

    monkeypatch.setattr("kafka_bridge.airflow.job_metrics.completed", broken)
    wait = await run(result(b"3"), end_from_trigger=True)
    assert wait.events == [DONE]
    ((level, line),) = wait.log
    assert level == "error"
    assert "RuntimeError: statsd" in line


async def test_success_without_a_result_ends_the_task_here(run: Runner) -> None:
    """A job that returns nothing leaves no XCom."""
    only = await fired(run, result(None))
    assert isinstance(only, TaskSuccessEvent)
    assert only.xcoms is None


@pytest.mark.parametrize(
    "end",
    [
        arrival(event(JobState.FAILED)),
        arrival(event(JobState.CANCELLED)),
        result(b"{"),
        result(b'{"id":18446744073709551617}'),
        result(b'{"__classname__":1}'),
    ],
    ids=["failed", "cancelled", "unreadable", "integer", "reserved key"],
)
async def test_all_else_is_for_a_worker(run: Runner, end: Arrival) -> None:
    """A task that is to fail is resumed: there the error is raised, and retries apply."""
    wait = await run(end, end_from_trigger=True)
    (only,) = wait.fired
    assert not isinstance(only, TaskSuccessEvent)
    assert only.payload["state"] == end.head.state
    assert wait.clock.now == T0 + 8


@pytest.mark.parametrize(("reply", "head"), [("events", event_head), ("plain", plain_head)])
async def test_how_responses_are_read(run: Runner, reply: str, head: HeadReader) -> None:
    """A service that knows no status events is heard as one that answers plainly."""
    wait = await run(arrival(event(JobState.SUCCEEDED)), reply=reply)
    assert wait.reader.read_head is head


# Killed.


class Airflow:
    """Stands in for Airflow's count of the task's instances that are deferred."""

    def __init__(self, deferred: int) -> None:
        self.deferred = deferred
        self.asked: list[dict[str, Any]] = []

    def get_ti_count(self, **asked: Any) -> int:
        """Count."""
        self.asked.append(asked)
        return self.deferred


class Commands:
    """Stands in for a producer, and keeps what is sent with it."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.sent: list[JobCommand] = []
        self.topics: set[str] = set()

    def open(self, _config: KafkaConfig, _timeout: float) -> Commands:
        """Be made."""
        self.opened += 1
        return self

    def connect(self, topic: str) -> None:
        """Get ready."""
        assert topic == ARGUMENTS["control_topic"]

    def send(
        self, topic: str, key: bytes, value: bytes, _headers: Headers
    ) -> Future[RecordLocation]:
        """Take a command."""
        command = decode(JobCommand, value)
        assert value[:1] == b"{", "in the encoding that the task asks for"
        assert key == command.correlation_id.encode()
        self.sent.append(command)
        self.topics.add(topic)
        done: Future[RecordLocation] = Future()
        done.set_result(RecordLocation(topic, 0, 3))
        return done

    def close(self) -> None:
        """Be closed."""
        self.closed += 1


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Put a stand-in in the producer's place."""
    stand_in = Commands()
    monkeypatch.setattr(cancel, "RecordProducer", stand_in.open)
    monkeypatch.setattr(cancel, "kafka_config", lambda _: None)
    return stand_in


def killable(monkeypatch: pytest.MonkeyPatch, deferred: int, **changes: Any) -> KafkaJobTrigger:
    """Return a trigger of a mapped task, of which so many instances are deferred."""
    airflow = Airflow(deferred)
    monkeypatch.setattr(RuntimeTaskInstance, "get_ti_count", airflow.get_ti_count)
    trigger = KafkaJobTrigger(**{**ARGUMENTS, **changes})
    trigger.task_instance = SimpleNamespace(  # type: ignore[assignment]
        dag_id="nightly", run_id="r-1", task_id="work", map_index=3
    )
    trigger.airflow = airflow  # type: ignore[attr-defined]
    return trigger


async def test_killed_by_a_person(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is no longer deferred was marked or cleared: its job gets CANCEL."""
    trigger = killable(monkeypatch, deferred=0)
    await trigger.on_kill()
    (command,) = commands.sent
    assert (command.correlation_id, command.command) == (JOB, Command.CANCEL)
    assert command.reason == "the task was marked, cleared or removed"
    assert commands.topics == {"jobs.control"}
    assert trigger.airflow.asked == [  # type: ignore[attr-defined]
        {
            "dag_id": "nightly",
            "run_ids": ["r-1"],
            "task_ids": ["work"],
            "map_index": 3,
            "states": ["deferred"],
        }
    ]


async def test_moved_to_another_triggerer(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is still deferred goes on elsewhere: its job is left alone."""
    await killable(monkeypatch, deferred=1).on_kill()
    assert commands.sent == []


async def test_killed_after_it_has_fired(
    run: Runner, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow ends triggers that have fired as if a person had: the job is not cancelled."""
    wait = await run(arrival(event(JobState.SUCCEEDED)))
    await wait.trigger.on_kill()
    assert commands.sent == []


async def test_kill_that_is_to_cancel_nothing(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without cancel_on_kill, nobody is even asked."""
    trigger = killable(monkeypatch, deferred=0, cancel_on_kill=False)
    await trigger.on_kill()
    assert commands.sent == []
    assert trigger.airflow.asked == []  # type: ignore[attr-defined]


async def test_many_killed_at_once_share_a_producer(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleared run of a thousand tasks opens one producer, and closes it; the next run another."""
    trigger = killable(monkeypatch, deferred=0)
    for rounds in (1, 2):
        await asyncio.gather(*(trigger.on_kill() for _ in range(100)))
        assert len(commands.sent) == 100 * rounds
        assert (commands.opened, commands.closed) == (rounds, rounds)


async def test_kill_without_a_usable_connection(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the way of the cancel is raised, for Airflow to log; the next one tries anew."""

    def refuse(_: str) -> None:
        raise ConfigurationError("no such connection")

    monkeypatch.setattr(cancel, "kafka_config", refuse)
    trigger = killable(monkeypatch, deferred=0)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no such connection"):
            await trigger.on_kill()


async def test_kill_that_is_cut_short(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow cancels on_kill when it looks again, a second later: the job is cancelled anyway."""
    trigger = killable(monkeypatch, deferred=0)
    killing = asyncio.create_task(trigger.on_kill())
    await asyncio.sleep(0)
    killing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killing
    assert commands.sent == []
    async with asyncio.timeout(30):
        while not commands.closed:  # noqa: ASYNC110  a thread closes it
            await asyncio.sleep(0.01)
    assert len(commands.sent) == 1

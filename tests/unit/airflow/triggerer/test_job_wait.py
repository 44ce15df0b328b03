"""The wait for one job, on a scripted reader."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS
from kafka_bridge.kafka.response_records import HeadReader, event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Arrival, Truncated
from kafka_bridge.protocol.errors import (
    AccessDenied,
    ConfigurationError,
    ReaderClosed,
)
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import (
    JobFailure,
    JobState,
)

from ..samples import JOB, T0, TOPIC, arrival, event
from ..trigger_runs import DONE, UNREADABLE, Reader, Runner, running


async def test_wait_subscribes_to_its_own_job(run: Runner) -> None:
    """The reader is told the job, the connection, the topic, and from where on it may have spoken.

    It is let go before the event fires: nothing slow happens after that.
    """
    wait = await run(arrival(event(JobState.SUCCEEDED)))
    assert wait.reader.asked == [(JOB, "mine", TOPIC, [4, 5, 6])]


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_event_names_the_terminal_record_but_not_its_content(
    run: Runner, state: JobState
) -> None:
    """Its state and its location: the event stays small."""
    end = event(
        state,
        result=b"x" * 10_000,
        result_type="text/plain",
        error=JobFailure("oops", "y" * 10_000),
    )
    wait = await run(arrival(end, partition=1, offset=123_456_789))
    assert wait.events == [{"state": state.value, "partition": 1, "offset": 123_456_789}]
    assert len(json.dumps(wait.events[0])) < 100


async def test_first_terminal_event_ends_the_wait(run: Runner) -> None:
    """Whatever comes before and after it."""
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
async def test_reader_failure_ends_the_wait_with_its_error(run: Runner, error: Any) -> None:
    """The event has the type and the text of the error."""
    wait = await run(arrival(event(JobState.ACCEPTED)), error)
    assert wait.events == [{"error": type(error).__name__, "message": str(error)}]


async def test_unusable_connection_is_an_event_and_not_a_crash(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task gets the error."""
    monkeypatch.setattr(Reader, "join_hub", _refuse)
    wait = await run()
    assert wait.events == [{"error": "ConfigurationError", "message": "no such connection"}]


async def _refuse(*_: object, **__: object) -> Reader:
    raise ConfigurationError("no such connection")


async def test_unreadable_response_is_logged_and_skipped(run: Runner) -> None:
    """The wait goes on."""
    wait = await run(UNREADABLE, arrival(event(JobState.SUCCEEDED)))
    assert wait.events == [DONE]
    assert wait.log == [
        ("warning", f"A response to this job cannot be read: {TOPIC}[2]@16: neither Avro nor JSON")
    ]


async def test_unreadable_responses_are_logged_once_in_an_interval(run: Runner) -> None:
    """Each line slows the triggerer."""
    flood = [UNREADABLE] * 1000
    wait = await run(*flood, (4.9, UNREADABLE), (0.1, UNREADABLE), arrival(event(JobState.FAILED)))
    assert len(wait.log) == 2


async def test_unreadable_response_does_not_restart_the_heartbeat_timeout(run: Runner) -> None:
    """A worker that publishes only junk counts as silent."""
    wait = await run(arrival(event(JobState.ACCEPTED)), (60.0, UNREADABLE))
    assert wait.events[0]["error"] == "worker_lost"
    assert wait.clock.now == T0 + 90


async def test_records_removed_by_retention_are_a_warning(run: Runner) -> None:
    """The wait goes on until a timeout."""
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


async def test_wait_ends_when_the_time_of_all_tries_has_passed(run: Runner) -> None:
    """It counts from the first submission of the task, not of this job."""
    wait = await run(schedule_to_close_timeout=120.0, first_submitted_at=T0 - 60)
    words = "the job has not finished within 120 s of its task's first submission"
    assert wait.events == [{"error": "not_finished", "message": words}]
    assert wait.clock.now == T0 + 60


@pytest.mark.parametrize(("states", "error", "words", "at"), TIME_OUTS)
async def test_timeouts_end_the_wait(
    run: Runner, states: list[JobState], error: str, words: str, at: float
) -> None:
    """Each rule is an event of its own type, fired at its own moment."""
    pause = 1.0 if len(states) == 1 else 89.0
    script = [(pause, arrival(event(state, at=0))) for state in states]
    wait = await run(*script)
    assert wait.events == [{"error": error, "message": words}]
    assert wait.clock.now == max(T0 + at, T0 + pause * len(states))


async def test_early_wake_up_does_not_end_the_wait(run: Runner) -> None:
    """The waiter looks at its deadlines again."""
    wait = await run((10.0, None), (10.0, None), (10.0, arrival(event(JobState.SUCCEEDED))))
    assert wait.events == [DONE]


async def test_no_timeout_expires_while_the_reader_is_not_live(run: Runner) -> None:
    """After an outage longer than every timeout, the result of the job still counts."""
    done = arrival(event(JobState.SUCCEEDED))
    wait = await run((5000.0, None), (5000.0, done), live_since=math.inf)
    assert wait.events == [DONE]


async def test_trigger_that_begins_after_the_timeouts_first_reads_older_events(run: Runner) -> None:
    """The result may be among them."""
    wait = await run(submitted_at=T0 - 5000)
    assert wait.events[0]["error"] == "not_started"
    assert wait.clock.now == T0 + MARGIN_SECONDS
    wait = await run((29.0, arrival(event(JobState.SUCCEEDED))), submitted_at=T0 - 5000)
    assert wait.events == [DONE]


async def test_progress_is_logged_once_in_an_interval(run: Runner) -> None:
    """A change of worker is logged at once."""
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
        ("info", "Released by worker w-1; waiting for another worker"),
        ("info", "Accepted by worker w-1 (delivery 2)"),
        ("info", "60 %: 6 of 10"),
    ]


async def test_another_delivery_is_logged_at_once(run: Runner) -> None:
    """Whether its worker says that it accepts the job or not."""
    wait = await run(
        arrival(event(JobState.ACCEPTED)),
        running(9),
        (1.0, running(1, delivery=2, worker_id="w-2")),
        (0.1, running(2, delivery=2, worker_id="w-2")),
        (5.0, running(3, delivery=2, worker_id="w-2")),
        arrival(event(JobState.SUCCEEDED, delivery=2)),
    )
    assert [words for _, words in wait.log][2:] == [
        "Delivery 2 of the job: worker w-1 was lost; it runs on worker w-2",
        "30 %: 3 of 10",
    ]


async def test_heartbeats_and_stale_events_are_not_logged(run: Runner) -> None:
    """They would only delay the next useful line."""
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
    """Of ten megabytes with newlines, one line remains that says how much was cut."""
    wait = await run(
        arrival(event(JobState.RUNNING, message="first\n" + "x" * 10_000_000)),
        arrival(event(JobState.SUCCEEDED)),
    )
    ((_, line),) = wait.log
    assert line.startswith("first\\n")
    assert len(line.encode()) <= job_limits().message
    assert "(cut, " in line


async def test_flood_of_events_is_decoded_only_up_to_the_limit(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one warning, and the events still restart the heartbeat timeout."""
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
    assert ["max_events_per_second" in line for line in warnings] == [True, False]
    assert wait.events[0]["error"] == "worker_lost"
    assert wait.clock.now == pytest.approx(T0 + 90 + 90)


async def test_flood_of_events_does_not_block_the_event_loop(run: Runner) -> None:
    """All triggers of the process run on it."""
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


async def test_large_event_counts_as_several(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding ten events of 0.9 MB in a second would keep the event loop busy."""
    read: list[Arrival] = []
    decode_one = Arrival.event
    monkeypatch.setattr(Arrival, "event", lambda self: read.append(self) or decode_one(self))  # type: ignore[func-returns-value]
    large = arrival(event(JobState.RUNNING, message="x" * 900_000))
    await run(*[(0.1, large)] * 100, (0.1, arrival(event(JobState.SUCCEEDED))))  # 10 s
    assert 1 <= len(read) <= (10 + 2) * job_limits().events_per_second / 14 + 1


async def test_events_that_are_not_decoded_still_count_for_the_timeouts(run: Runner) -> None:
    """Their heads start and release a job."""
    flood = [running(1)] * 50
    wait = await run(
        *flood,
        arrival(event(JobState.RELEASED)),
        (99.0, None),
        schedule_to_start_timeout=100.0,
    )
    assert wait.events[0]["error"] == "not_started"
    assert wait.clock.now == T0 + 100


async def test_invalid_limits_fail_the_task_and_not_the_triggerer(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration of a triggerer may differ from that of the workers."""
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__MAX_MESSAGE_BYTES", "many")
    job_limits.cache_clear()
    wait = await run()
    monkeypatch.undo()
    job_limits.cache_clear()
    assert wait.events[0]["error"] == "ConfigurationError"
    assert "max_message_bytes" in wait.events[0]["message"]


@pytest.mark.parametrize(("reply", "head"), [("events", event_head), ("plain", plain_head)])
async def test_reply_decides_how_responses_are_read(
    run: Runner, reply: str, head: HeadReader
) -> None:
    """As status events, or as plain replies."""
    wait = await run(arrival(event(JobState.SUCCEEDED)), reply=reply)
    assert wait.reader.read_head is head

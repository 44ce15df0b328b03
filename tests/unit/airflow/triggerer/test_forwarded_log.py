"""What a job logs at its worker, in its task's log: in order, at its levels, within the limits."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.triggerer.log_budget import LogBudget
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.log_lines import LOG_LINES, LogLine, log_attributes, summary
from kafka_bridge.protocol.messages import JobState, Progress

from ..samples import arrival, event
from ..trigger_runs import Runner, running

END = arrival(event(JobState.SUCCEEDED))


def logged(*lines: str, offset: int = 17, **fields: Any) -> Arrival:
    """Return an event with lines, each after its level."""
    found = [LogLine(*line.split(" ", 1)) for line in lines]
    given = {"message": summary(found), "attributes": log_attributes(found), **fields}
    return arrival(event(JobState.RUNNING, **given), offset=offset)


async def test_lines_are_logged_at_their_levels(run: Runner) -> None:
    """Those of one level in one entry; the event's message is for other readers."""
    wait = await run(
        logged("INFO one", "INFO two", "WARNING three", "DEBUG four", "CRITICAL five"), END
    )
    assert wait.log == [
        ("info", "one\ntwo"),
        ("warning", "three"),
        ("debug", "four"),
        ("critical", "five"),
    ]


async def test_progress_is_logged_before_later_lines(run: Runner) -> None:
    """It does not wait for its interval then; an event may have both."""
    wait = await run(
        running(1),
        running(2),
        logged("INFO one", progress=Progress(3, 10)),
        END,
    )
    assert wait.log == [("info", "10 %: 1 of 10"), ("info", "20 %: 2 of 10"), ("info", "one")]


async def test_lines_over_the_limits_are_counted(run: Runner) -> None:
    """When there is room again, or when the wait ends."""
    many = logged(*[f"INFO {'x' * 95}"] * 200)
    wait = await run(many, many, (30.0, logged("INFO again")), END)
    (_, first), *more, (_, left_out), (_, again) = wait.log
    written = sum(text.count("\n") + 1 for _, text in [("info", first), *more])
    assert written * 96 < job_limits().log_per_second * 10 + 5_000
    assert left_out.startswith(f"… {400 - written} more log lines of the job were left out here")
    assert again == "again"


async def test_lines_of_many_jobs_share_the_budget_of_the_process(run: Runner) -> None:
    """What is left out is said at the end, in any case."""

    def spent() -> LogBudget:
        budget = LogBudget(lines=1, burst_lines=1)
        budget.spend(1)
        return budget

    wait = await run(logged("ERROR one"), END, budget=spent)
    ((level, words),) = wait.log
    assert (level, words[:43]) == ("info", "… 1 more log line of the job was left out h")


async def test_lines_that_were_logged_before_the_task_deferred_are_not_logged_again(
    run: Runner,
) -> None:
    """As other events are not."""
    wait = await run(
        logged("INFO old"), logged("INFO new", offset=18), END, logged_offsets=[0, 0, 18]
    )
    assert wait.log == [("info", "new")]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("no level", [("info", "no level")]),
        ("ERROR \x1b[31mred\r", [("error", r"\x1b[31mred\r")]),
        ("INFO %s %d", [("info", "%s %d")]),
    ],
)
async def test_attribute_of_any_worker_is_harmless(
    run: Runner, text: str, lines: list[tuple[str, str]]
) -> None:
    """Whatever stands in it."""
    odd = arrival(event(JobState.RUNNING, attributes={LOG_LINES: text}))
    assert (await run(odd, END)).log == lines

"""How many lines a job, and all jobs of a process together, may put in their tasks' logs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kafka_bridge.airflow import job_log
from kafka_bridge.airflow.job_log import JobLog, LogBudget


class Clock:
    """Stands in for the module ``time``."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds that the test says."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock that the logs read."""
    clock = Clock()
    monkeypatch.setattr(job_log, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


class Lines(list[str]):
    """A logger that keeps what it is told."""

    def info(self, event: str, /, *args: object) -> None:
        """Keep a line."""
        self.append(event % args)

    warning = info


def test_all_jobs_share_the_budget(clock: Clock) -> None:
    """A thousand jobs that speak at once put no more lines in the log than one burst."""
    lines, budget = Lines(), LogBudget(rate=50, burst=100)
    jobs = [JobLog(lines, 5.0, budget) for _ in range(1000)]
    for job in jobs:
        job.progress("accepted", is_rare=True)
    assert len(lines) == 100
    for _ in range(10):
        clock.now += 1
        for job in jobs:
            job.progress("more")
    assert len(lines) == 100 + 10 * 50


def test_kept_line_is_said_later_and_the_latest_wins(clock: Clock) -> None:
    """What found no place in the budget is said when the job is next heard of; old news is not."""
    lines, budget = Lines(), LogBudget(rate=1, burst=1)
    noisy, job = JobLog(lines, 5.0, budget), JobLog(lines, 5.0, budget)
    noisy.progress("noise")
    job.progress("accepted", is_rare=True)
    job.progress("10 %")
    job.say_kept()
    assert lines == ["noise"]
    clock.now += 1
    job.say_kept()
    job.say_kept()
    assert lines == ["noise", "10 %"]


def test_line_kept_for_the_interval_is_said_when_it_is_over(clock: Clock) -> None:
    """The last thing a job said does not go under because it came soon after another."""
    lines = Lines()
    job = JobLog(lines, 5.0, LogBudget())
    job.progress("10 %")
    job.progress("copying, which takes an hour")
    clock.now += 4.9
    job.say_kept()
    assert lines == ["10 %"]
    clock.now += 0.2
    job.say_kept()
    assert lines == ["10 %", "copying, which takes an hour"]


def test_warnings_go_first_and_none_is_lost(clock: Clock) -> None:
    """Of a job's kept lines the warning is said first; at the latest when the wait ends."""
    lines, budget = Lines(), LogBudget(rate=1, burst=1)
    jobs = [JobLog(lines, 5.0, budget) for _ in range(3)]
    for number, job in enumerate(jobs):
        job.warn(f"warning {number}")
        job.progress(f"progress {number}")
    assert lines == ["warning 0"]
    clock.now += 1
    jobs[1].say_kept()
    assert lines == ["warning 0", "warning 1"]
    for job in jobs:
        job.close()
    assert lines == ["warning 0", "warning 1", "warning 2"]


def test_quiet_time_is_not_saved_up(clock: Clock) -> None:
    """After an hour of silence there may be one burst, not an hour's worth of lines."""
    budget = LogBudget(rate=50, burst=100)
    clock.now += 3600
    assert sum(budget.take() for _ in range(1000)) == 100

"""How many lines a job, and all jobs of a process together, may put in their tasks' logs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kafka_bridge.airflow.triggerer import job_log
from kafka_bridge.airflow.triggerer.job_log import (
    ENVELOPE_BYTES,
    JOB_BURST_SECONDS,
    WARNING_BYTES,
    JobLog,
    LogBudget,
)

RATE = 1000.0
"""What a job may log, in bytes a second."""


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

    warning = error = info


def test_all_jobs_share_the_budget(clock: Clock) -> None:
    """A thousand jobs that speak at once put no more lines in the log than one burst."""
    lines, budget = Lines(), LogBudget(lines=50, burst_lines=100)
    jobs = [JobLog(lines, 5.0, budget, RATE) for _ in range(1000)]
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
    lines, budget = Lines(), LogBudget(lines=1, burst_lines=1)
    noisy, job = JobLog(lines, 5.0, budget, RATE), JobLog(lines, 5.0, budget, RATE)
    noisy.progress("noise")
    job.progress("accepted", is_rare=True)
    job.progress("10 %")
    job.log_kept()
    assert lines == ["noise"]
    clock.now += 1
    job.log_kept()
    job.log_kept()
    assert lines == ["noise", "10 %"]


def test_line_kept_for_the_interval_is_said_when_it_is_over(clock: Clock) -> None:
    """The last thing a job said does not go under because it came soon after another."""
    lines = Lines()
    job = JobLog(lines, 5.0, LogBudget(), RATE)
    job.progress("10 %")
    job.progress("copying, which takes an hour")
    clock.now += 4.9
    job.log_kept()
    assert lines == ["10 %"]
    clock.now += 0.2
    job.log_kept()
    assert lines == ["10 %", "copying, which takes an hour"]


def test_warnings_go_first_and_none_is_lost(clock: Clock) -> None:
    """Of a job's kept lines the warning is said first; at the latest when the wait ends."""
    lines, budget = Lines(), LogBudget(lines=1, burst_lines=1)
    jobs = [JobLog(lines, 5.0, budget, RATE) for _ in range(3)]
    for number, job in enumerate(jobs):
        job.warn(f"warning {number}")
        job.progress(f"progress {number}")
    assert lines == ["warning 0"]
    clock.now += 1
    jobs[1].log_kept()
    assert lines == ["warning 0", "warning 1"]
    for job in jobs:
        job.close()
    assert lines == ["warning 0", "warning 1", "warning 2"]


def taken(budget: LogBudget, size: int) -> int:
    """Log lines of a size while the budget lets one; return how many."""
    count = 0
    while not budget.is_spent:
        budget.spend(size)
        count += 1
    return count


def test_quiet_time_is_not_saved_up(clock: Clock) -> None:
    """After an hour of silence there may be one burst, not an hour's worth of lines."""
    budget = LogBudget(lines=50, burst_lines=100)
    clock.now += 3600
    assert taken(budget, 0) == 100


def test_long_lines_are_counted_by_their_bytes(clock: Clock) -> None:
    """However long the lines of all jobs are, no more bytes go out than the triggerer carries."""
    budget = LogBudget(lines=50, burst_lines=100, bytes_=20_000, burst_bytes=40_000)
    assert taken(budget, 2_000) == 20
    clock.now += 10
    assert taken(budget, 2_000) == 20, "a burst at the most, however long it was quiet"
    clock.now += 1
    assert taken(budget, 2_000) == 10


def test_one_job_logs_no_more_than_its_own_bytes(clock: Clock) -> None:
    """A job that changes hands without end does not use up what all jobs may log together."""
    lines, budget = Lines(), LogBudget()
    job = JobLog(lines, 5.0, budget, 1000)
    for _ in range(600):
        clock.now += 0.1
        job.progress("x" * 750, is_rare=True)
    assert sum(len(line) + ENVELOPE_BYTES for line in lines) <= 1000 * (60 + JOB_BURST_SECONDS) + 1
    assert len(lines) >= 60
    other = JobLog(lines, 5.0, budget, 1000)
    other.progress("another job's line", is_rare=True)
    assert lines[-1] == "another job's line"


def test_warning_is_short(clock: Clock) -> None:
    """A warning that quotes what came is cut: the one that was kept is logged in any case."""
    lines = Lines()
    JobLog(lines, 5.0, LogBudget(), RATE).warn("cannot be read: " + "x" * 10_000_000)
    assert len(lines[0].encode()) <= WARNING_BYTES
    assert "(cut, 10,000,016 bytes in all)" in lines[0]

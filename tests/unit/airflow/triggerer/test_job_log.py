"""How many lines a job, and all jobs of a process together, may put in their tasks' logs."""

from __future__ import annotations

from kafka_bridge.airflow.triggerer import job_log, log_budget
from kafka_bridge.airflow.triggerer.job_log import JOB_BURST_SECONDS, WARNING_BYTES, JobLog
from kafka_bridge.airflow.triggerer.log_budget import ENVELOPE_BYTES, LogBudget
from kafka_bridge.testing.fakes import FakeClock
from unit.clocks import clock_of

RATE = 1000.0
"""What a job may log, in bytes a second."""


clock = clock_of(job_log, log_budget)


class Lines(list[str]):
    """A logger that keeps what it is told."""

    def info(self, event: str, /, *args: object) -> None:
        """Keep a line."""
        self.append(event % args)

    warning = error = info

    def log(self, _level: int, event: str, /, *args: object) -> None:
        """Keep a line at any level."""
        self.append(event % args)


def test_all_jobs_share_one_budget_of_lines(clock: FakeClock) -> None:
    """A thousand jobs that log at once write no more than one burst."""
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


def test_line_over_the_budget_is_logged_later_and_only_the_latest(clock: FakeClock) -> None:
    """It is logged with the job's next event."""
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


def test_line_within_the_interval_is_logged_when_it_is_over(clock: FakeClock) -> None:
    """The last progress is not lost."""
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


def test_kept_warning_is_logged_before_kept_progress(clock: FakeClock) -> None:
    """At the latest when the wait ends."""
    lines, budget = Lines(), LogBudget(lines=1, burst_lines=1)
    jobs = [JobLog(lines, 5.0, budget, RATE) for _ in range(3)]
    for number, job in enumerate(jobs):
        job.warning(f"warning {number}")
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


def test_budget_does_not_grow_beyond_one_burst(clock: FakeClock) -> None:
    """Not even after an hour without a line."""
    budget = LogBudget(lines=50, burst_lines=100)
    clock.now += 3600
    assert taken(budget, 0) == 100


def test_all_jobs_share_one_budget_of_bytes(clock: FakeClock) -> None:
    """However long their lines are."""
    budget = LogBudget(lines=50, burst_lines=100, bytes_=20_000, burst_bytes=40_000)
    assert taken(budget, 2_000) == 20
    clock.now += 10
    assert taken(budget, 2_000) == 20, "a burst at the most, however long it was quiet"
    clock.now += 1
    assert taken(budget, 2_000) == 10


def test_one_job_cannot_use_up_the_budget_of_all(clock: FakeClock) -> None:
    """It has a limit of its own."""
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


def test_warning_is_cut_to_its_longest_length(clock: FakeClock) -> None:
    """It is logged whatever the limits."""
    lines = Lines()
    JobLog(lines, 5.0, LogBudget(), RATE).warning("cannot be read: " + "x" * 10_000_000)
    assert len(lines[0].encode()) <= WARNING_BYTES
    assert "(cut, 10,000,016 bytes in all)" in lines[0]

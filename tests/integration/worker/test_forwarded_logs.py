"""What handlers log, at a real worker on a real Kafka: in events, and in the worker's own log."""

from __future__ import annotations

from integration.jobs import events
from integration.worker.programs import Stage
from kafka_bridge.protocol.log_lines import log_lines
from kafka_bridge.protocol.messages import JobState


def test_lines_of_a_handler_are_in_the_events_of_its_job(stage: Stage) -> None:
    """On a thread, on the event loop and in a process, with jobs side by side."""
    stage.runs = ("worker", "run", "process_handlers:worker")
    worker = stage.start("--forward-logs", "info", "--concurrency", "4", "--processes", "1")
    jobs = [stage.request(kind) for kind in ("logs", "logs.async", "logs.process", "logs")]
    crash = stage.request("segfault")
    stage.publish(*jobs, crash)
    for job in jobs:
        *before, end = events(stage.config, stage.responses, job.correlation_id)
        lines = [str(line) for event in before for line in log_lines(event.attributes, 2_000)]
        assert lines == [
            f"INFO begun by {job.correlation_id}",
            "WARNING (a line of logger process_handlers cannot be shown: TypeError)",
            "ERROR two lines",
            r"ERROR     and a colour \x1b[31m",
        ], job.job_type
        assert before[-1].state is JobState.RUNNING
        assert before[-1].message is not None
        assert end.error is not None
        assert f"    INFO begun by {job.correlation_id}" in (end.error.details or "")
        assert f"begun by {job.correlation_id}" in worker.said
    error = events(stage.config, stage.responses, crash.correlation_id)[-1].error
    assert error is not None
    assert (error.details or "").endswith("    WARNING about to read address 0"), "its last line"
    assert worker.stop() == 0

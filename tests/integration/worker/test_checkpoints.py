"""Checkpoints of jobs whose worker is killed, or stops, at a real worker on a real Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.worker.endings import ends_of, told
from integration.worker.programs import Stage
from kafka_bridge.protocol.checkpoint import checkpoint_in
from kafka_bridge.protocol.media_types import from_json

if TYPE_CHECKING:
    from conftest import Eventually


def test_checkpoint_outlives_a_killed_worker_and_one_that_stops(
    stage: Stage, eventually: Eventually
) -> None:
    """Each delivery finds what the one before has saved, on a thread and in a process."""
    stage.runs = ("worker", "run", "process_handlers:worker")
    jobs = [stage.request(job_type, 3) for job_type in ("resume", "resume.process")]

    def all_saved(text: str) -> bool:
        seen = told(stage)
        return all(
            any(checkpoint_in(event) == text for event in seen[job.correlation_id]) for job in jobs
        )

    first = stage.start("--concurrency", "2")
    stage.publish(*jobs)
    eventually(lambda: all_saved("[1]"), "the first deliveries have saved")
    first.kill()
    second = stage.start("--concurrency", "2", KAFKA_BRIDGE_GRACE_SECONDS="0.1")
    eventually(lambda: all_saved("[1,2]"), "the second ones have found and saved")
    assert second.stop() == 0
    stage.start("--concurrency", "2")
    assert [(end.delivery, from_json(end.result or b"")) for end in ends_of(stage, jobs)] == [
        (3, [1, 2])
    ] * 2
    for events in told(stage).values():
        saved = [checkpoint_in(event) for event in events]
        assert set(saved[saved.index("[1]") : -1]) == {"[1]", "[1,2]"}, "every event repeats it"

"""A batch as frozen values: what its task submits, and what its trigger waits for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka_bridge.airflow.specs import Reply, ResultSpec
from kafka_bridge.protocol.encodings import Encoding


class OnFailure(StrEnum):
    """What the first failed job does to its batch."""

    FAIL_FAST = "fail_fast"
    """It ends the batch; the unfinished jobs are cancelled."""
    COLLECT = "collect"
    """The batch waits for all other jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSpec:
    """What a task submits, and what it makes of the results. Made from the rendered operator.

    ``timeout`` and ``heartbeat_interval`` are seconds. ``max_failures`` of None allows any number
    of failed jobs, but not all.
    """

    job_type: str
    payloads: Any
    payloads_file: str | None
    payload_model: Any
    results_file: str | None
    result: ResultSpec
    on_failure: OnFailure
    max_failures: int | None
    request_topic: str
    response_topic: str
    control_topic: str
    encoding: Encoding
    reply: Reply
    timeout: float | None
    heartbeat_interval: float

    @property
    def returns_results(self) -> bool:
        """Whether the results themselves become the task's XCom."""
        return self.result.do_xcom_push and not (self.results_file or self.result.handler)

    def tolerated_failures(self, total: int) -> int:
        """Return how many jobs of ``total`` may fail without failing the task."""
        if self.on_failure is OnFailure.FAIL_FAST:
            return 0
        return total - 1 if self.max_failures is None else self.max_failures


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWaitSpec:
    """What a batch's trigger waits for. :class:`KafkaJobBatchTrigger` explains its arguments.

    No secret, no payload and no list of jobs: Airflow stores it.
    """

    batch_id: str
    count: int
    kafka_config_id: str
    response_topic: str
    control_topic: str
    encoding: Encoding
    start_offsets: list[int]
    submitted_at: float
    on_failure: OnFailure
    timeout: float | None
    heartbeat_timeout: float | None
    schedule_to_start_timeout: float | None
    cancel_on_kill: bool
    progress_log_interval: float
    not_before: float
    resume_delay: float
    reply: Reply

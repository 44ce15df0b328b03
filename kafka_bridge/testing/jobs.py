"""One job done by a worker's own handler, without any broker: for the tests of a service."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from kafka_bridge.payloads import from_bytes, to_bytes
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import Headers, RawHeaders
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import (
    JobFailure,
    JobRequest,
    JobState,
    Progress,
    StatusEvent,
    utc_now,
)
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.worker import StopReason, Worker
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.admission import End, Start, decide
from kafka_bridge.worker.runtime.executor import Executor, event_loop
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.job_run import JobRun
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot
from kafka_bridge.worker.runtime.reporter import JobReporter, Sender


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What a worker said of a job: its ``events`` in order, the last of them its end."""

    events: tuple[StatusEvent, ...]

    @property
    def state(self) -> JobState:
        """How the job ended."""
        return self.events[-1].state

    @property
    def result(self) -> Any:
        """What the Airflow task would return: the result as JSON gives it back, None if none."""
        return from_bytes(self.events[-1].result, self.events[-1].result_type)

    @property
    def error(self) -> JobFailure | None:
        """Why the job failed, None where it did not."""
        return self.events[-1].error

    @property
    def progress(self) -> list[Progress]:
        """The progress that was sent; of figures that come quicker than two a second, the last."""
        return [event.progress for event in self.events if event.progress is not None]


class CollectedEvents:
    """Takes a job's events in the brokers' stead."""

    def __init__(self) -> None:
        self.events: list[StatusEvent] = []

    def deliver(
        self,
        _topic: str,
        _key: bytes | None,
        value: bytes | None,
        _headers: Headers,
        delivered: Callable[[Exception | None], None],
    ) -> None:
        """Take a status event."""
        self.events.append(decode(StatusEvent, value))
        delivered(None)


def run_job(
    worker: Worker,
    job_type: str,
    payload: Any = None,
    *,
    cancel_after: float | None = None,
    external_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    **fields: Any,
) -> JobOutcome:
    """Have a worker do one job, as it would for a request from Kafka, and return what it said.

    ::

        def test_audit_counts_files(tmp_path):
            outcome = run_job(my_service.worker, "files.audit", {"path": str(tmp_path)})
            assert outcome.state == "SUCCEEDED"
            assert outcome.result == {"files": 0}

    :param payload: as in the operator: a dictionary, dataclass, pydantic model, or bytes
    :param cancel_after: cancel the job after so many seconds
    :param external_id: what an earlier delivery of the job said that the real system calls it
    :param headers: headers of the request, such as ``traceparent``
    :param timeout: seconds until the test is told that the job does not end
    :param fields: other fields of the :class:`JobRequest`, such as ``deadline``
    :raises PayloadNotSerialisable: the payload has no JSON form
    :raises TimeoutError: the job did not end in time
    """
    data, media_type = to_bytes(payload, "payload")
    defaults: dict[str, Any] = {
        "correlation_id": new_correlation_id(),
        "response_topic": RESPONSE_TOPIC,
        "created_at": utc_now(),
    }
    request = JobRequest(
        job_type=job_type, payload=data, payload_type=media_type, **(defaults | fields)
    )
    collected = CollectedEvents()
    do_job(
        worker,
        request,
        collected,
        cancel_after=cancel_after,
        external_id=external_id,
        headers=[(name, text.encode()) for name, text in (headers or {}).items()],
        timeout=timeout,
    )
    return JobOutcome(tuple(collected.events))


def do_job(
    worker: Worker,
    request: JobRequest,
    sender: Sender,
    *,
    cancel_after: float | None = None,
    external_id: str | None = None,
    headers: RawHeaders = (),
    timeout: float = 60.0,
) -> BaseException | None:
    """Have a worker do the job of a request and send its events; return once its end is sent.

    :returns: why the end could not be sent, None where it was
    :raises TimeoutError: the job did not end in time
    """
    settled: Future[BaseException | None] = Future()
    snapshot = LedgerSnapshot(since=0.0, epoch=0)
    decision = decide(
        request,
        snapshot,
        worker.handlers,
        cancelled=None,
        max_deliveries=worker.max_deliveries,
        now=utc_now(),
    )
    reporter = JobReporter(
        sender,
        request,
        Encoding.AVRO,
        worker.worker_id,
        may_publish=lambda: True,
        delivery=1 if external_id is None else 2,
        external_id=external_id,
        request_headers=headers,
    )
    if isinstance(decision, End):
        reporter.finished(
            decision.state, lambda _, error: settled.set_result(error), **decision.facts
        )
    if not isinstance(decision, Start):
        return settled.result(timeout)
    run = JobRun(request, decision.handler, reporter, Observer(), settled.set_result)
    with contextlib.closing(Heartbeats()) as heartbeats, event_loop() as loop:
        executor = Executor(1, loop, ended=lambda _: None)
        heartbeats.add(run)

        def accepted(error: BaseException | None) -> None:
            if error is None:
                executor.submit(run)
                executor.start_waiting()
            else:
                settled.set_result(error)

        reporter.accepted(accepted)
        cancel = threading.Timer(
            cancel_after or 0.0, run.ask_to_stop, (StopReason.CANCELLED, "the test cancelled it")
        )
        if cancel_after is not None:
            cancel.start()
        try:
            return settled.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"job {run} did not end within {timeout:g} s") from None
        finally:
            cancel.cancel()  # or it would keep the process from ending

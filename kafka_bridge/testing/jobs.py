"""Runs one job with a worker's own handler, without a broker: for the tests of a service."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from kafka_bridge.kafka.records import Received, Record
from kafka_bridge.payloads import from_bytes, to_bytes
from kafka_bridge.protocol.checkpoint import checkpoint_in
from kafka_bridge.protocol.codec import decode, encode
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
from kafka_bridge.worker import Worker, checkpoints
from kafka_bridge.worker.handlers import Handler, with_time_limit
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.processes.serving import serving
from kafka_bridge.worker.runtime.admission import Admission
from kafka_bridge.worker.runtime.capacity import capacity_for
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.reporter import Sender
from kafka_bridge.worker.runtime.scheduler import assemble
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.settings import WorkerSettings

POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The ``events`` that a worker published of a job, in order; the last is the terminal event."""

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
        """Why the job failed, None if it did not."""
        return self.events[-1].error

    @property
    def checkpoint(self) -> Any:
        """What the handler saved last, or an earlier delivery; None if nothing."""
        texts = (checkpoint_in(event) for event in reversed(self.events))
        text = next((text for text in texts if text is not None), None)
        return None if text is None else checkpoints.from_text(text)

    @property
    def progress(self) -> list[Progress]:
        """The progress that was published: at most twice a second, the latest."""
        return [event.progress for event in self.events if event.progress is not None]


class CollectedEvents:
    """Collects a job's events instead of publishing them."""

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
        """Collect a status event."""
        self.events.append(decode(StatusEvent, value))
        delivered(None)


def run_job(
    worker: Worker,
    job_type: str,
    payload: Any = None,
    *,
    cancel_after: float | None = None,
    external_id: str | None = None,
    checkpoint: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    **fields: Any,
) -> JobOutcome:
    """Have a worker do one job, as for a request from Kafka, and return what it published.

    ::

        def test_audit_counts_files(tmp_path):
            outcome = run_job(my_service.worker, "files.audit", {"path": str(tmp_path)})
            assert outcome.state == "SUCCEEDED"
            assert outcome.result == {"files": 0}

    :param worker: the worker, with its handlers
    :param job_type: which of them runs the job
    :param payload: as in the operator: a dictionary, dataclass, pydantic model, or bytes
    :param cancel_after: cancel the job after this many seconds
    :param external_id: what the real system calls the job, by an earlier delivery of it
    :param checkpoint: what an earlier delivery has saved, None for nothing
    :param headers: headers of the request, such as ``traceparent``
    :param timeout: seconds after which the job is expected to have ended
    :param fields: other fields of the :class:`JobRequest`, such as ``deadline``
    :raises PayloadNotSerialisable: the payload has no JSON form
    :raises ApplicationError: no handler could have saved this checkpoint
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
        checkpoint=None if checkpoint is None else checkpoints.to_text(checkpoint),
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
    checkpoint: str | None = None,
    headers: RawHeaders = (),
    timeout: float = 60.0,
) -> BaseException | None:
    """Have a worker do the job of a request and publish its events.

    Return once the terminal event is acknowledged.

    :returns: why the terminal event could not be published, None if it was
    :raises TimeoutError: the job did not end in time
    """
    cancels, unpublished = _Cancels(), _Unpublished()
    settings = replace(worker.settings(), concurrency=1, processes=1)
    with (
        _handlers(worker, request.job_type, settings) as handlers,
        contextlib.closing(Heartbeats()) as heartbeats,
        event_loop() as loop,
        worker.lifespan.entered(worker, loop, ended=worker.stop) as state,
    ):
        capacity = capacity_for(
            settings, handlers, Surroundings(loop, state, tuple(worker.middlewares))
        )
        scheduler = assemble(
            Admission(handlers, worker.max_deliveries, _Ledger(external_id, checkpoint), cancels),
            Publishing(sender, worker.worker_id),
            capacity,
            unpublished,
            heartbeats,
            Membership(math.inf),
            Mailbox(),
            Observer(),
        )
        scheduler.assigned([0])
        scheduler.receive([cast(Received, _Given(request, headers))])
        cancel_at = time.monotonic() + (math.inf if cancel_after is None else cancel_after)
        give_up = time.monotonic() + timeout
        while not scheduler.is_idle:
            if time.monotonic() >= give_up:
                job = f"{request.correlation_id} ({request.job_type})"
                raise TimeoutError(f"job {job} did not end within {timeout:g} s")
            scheduler.work()
            capacity.start_waiting()
            if time.monotonic() >= cancel_at and not cancels.reasons:
                cancels.reasons[request.correlation_id] = "the test cancelled it"
                scheduler.cancel(request.correlation_id)
            scheduler.mailbox.wait(POLL_SECONDS)
    return unpublished.error


@contextlib.contextmanager
def _handlers(
    worker: Worker, job_type: str, settings: WorkerSettings
) -> Iterator[Mapping[str, Handler]]:
    """Give the handlers for a job; one with ``process=True`` has a process."""
    handler = worker.handlers.get(job_type)
    if handler is None or not handler.in_process:
        yield with_time_limit(worker.handlers, settings.time_limit)
        return
    with serving(worker, settings) as served:
        yield served.handlers


class _Given:
    """A job request that no consumer has read."""

    partition = 0
    offset = 0
    key = None
    timestamp_ms = -1

    def __init__(self, request: JobRequest, headers: RawHeaders) -> None:
        self._request = request
        self.value = encode(request, Encoding.AVRO)
        self.headers = headers
        self.record = None

    def decode(self, _: type[JobRequest]) -> JobRequest:
        """Return the request."""
        return self._request


class _Ledger:
    """Knows one job at most: one that was begun before, with this external id or checkpoint."""

    has_unfinished = False

    def __init__(self, external_id: str | None, checkpoint: str | None) -> None:
        known = Unfinished(1, 1, is_released=True, external_id=external_id, checkpoint=checkpoint)
        self._before = None if external_id is None and checkpoint is None else known

    def snapshot_for(self, request: JobRequest, epoch: int) -> LedgerSnapshot:
        """Return what is known of a job."""
        key = request.correlation_id.encode()
        unfinished = {} if self._before is None else {key: self._before}
        return LedgerSnapshot(0.0, epoch, unfinished=unfinished)

    def is_finished_here(self, _correlation_id: str) -> bool:
        """Tell whether a job has ended before: none has."""
        return False

    def finished_here(self, _correlation_id: str) -> None:
        """Do nothing."""

    def has_read(self, _epoch: int) -> bool:
        """Tell whether everything is known."""
        return True

    def may_read(self, _topic: str) -> bool:
        """Tell whether more could be read."""
        return False

    def read(self, *_: object) -> None:
        """Do nothing."""


class _Cancels:
    """Holds the reason of a cancel."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}


class _Unpublished:
    """Holds the error of a job that would go to the dead-letter topic."""

    is_full = False

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def write(self, _record: Record | None, error: BaseException, done: Callable[[], None]) -> None:
        """Keep the error."""
        self.error = error
        done()

    def notify_sender(self, _record: Record | None, _error: Exception) -> None:
        """Do nothing."""

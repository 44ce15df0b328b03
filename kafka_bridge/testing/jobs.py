"""Runs jobs with a worker's own handler, without a broker: for the tests of a service."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from kafka_bridge.kafka.records import Received, Record
from kafka_bridge.logs import level_of_environment, logging_of_environment
from kafka_bridge.payloads import from_bytes, to_bytes
from kafka_bridge.protocol.checkpoint import checkpoint_in
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import Headers, RawHeaders
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.log_lines import log_lines
from kafka_bridge.protocol.messages import (
    JobFailure,
    JobRequest,
    JobState,
    Progress,
    StatusEvent,
    utc_now,
)
from kafka_bridge.protocol.sanitize import LINE_BYTES
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.worker import Worker, checkpoints
from kafka_bridge.worker.handlers import Handler, with_defaults
from kafka_bridge.worker.log_levels import OFF
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.processes.serving import serving
from kafka_bridge.worker.runtime.admission import Admission
from kafka_bridge.worker.runtime.capacity import capacity_for
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished
from kafka_bridge.worker.runtime.log_capture import capturing
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

    @property
    def log(self) -> list[str]:
        """The log lines that were forwarded, each after its level: ``INFO Reading a.png``."""
        return [
            str(line) for event in self.events for line in log_lines(event.attributes, LINE_BYTES)
        ]


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
    request = _request(job_type, payload, fields)
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


def run_batch(
    worker: Worker,
    job_type: str,
    payloads: Sequence[Any],
    *,
    cancel_after: Mapping[int, float] | None = None,
    timeout: float = 60.0,
    **fields: Any,
) -> list[JobOutcome]:
    """Have a worker do a job for each payload, and return what it published of each, in order.

    ::

        def test_empty_text_fails_alone():
            good, bad = run_batch(my_service.worker, "texts.embed", ["a text", ""])
            assert (good.state, bad.state) == ("SUCCEEDED", "FAILED")

    The handler of the job type has ``batch=…``. It does not wait for its ``linger``: all jobs are
    there. If they are more than ``batch``, it is called again for the others.

    :param worker: the worker, with its handlers
    :param job_type: which of them runs the jobs
    :param payloads: each as in the operator: a dictionary, dataclass, pydantic model, or bytes
    :param cancel_after: which jobs to cancel, by their place, and after how many seconds
    :param timeout: seconds after which the jobs are expected to have ended
    :param fields: other fields of each :class:`JobRequest`, such as ``deadline``
    :raises PayloadNotSerialisable: a payload has no JSON form
    :raises TimeoutError: a job did not end in time
    """
    given = [
        _Given(_request(job_type, each, fields), offset=place)
        for place, each in enumerate(payloads)
    ]
    jobs = [each.request.correlation_id for each in given]
    collected = CollectedEvents()
    if given:
        cancels = {jobs[place]: after for place, after in (cancel_after or {}).items()}
        _do_jobs(worker, given, collected, cancels, ledger=_Ledger(), timeout=timeout)
    return [
        JobOutcome(tuple(each for each in collected.events if each.correlation_id == job))
        for job in jobs
    ]


def _request(job_type: str, payload: Any, fields: Mapping[str, Any]) -> JobRequest:
    data, media_type = to_bytes(payload, "payload")
    defaults: dict[str, Any] = {
        "correlation_id": new_correlation_id(),
        "response_topic": RESPONSE_TOPIC,
        "created_at": utc_now(),
    }
    return JobRequest(
        job_type=job_type, payload=data, payload_type=media_type, **{**defaults, **fields}
    )


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
    cancels = {} if cancel_after is None else {request.correlation_id: cancel_after}
    given = _Given(request, headers)
    ledger = _Ledger(external_id, checkpoint)
    return _do_jobs(worker, [given], sender, cancels, ledger=ledger, timeout=timeout)


def _do_jobs(
    worker: Worker,
    given: Sequence[_Given],
    sender: Sender,
    cancel_after: Mapping[str, float],
    *,
    ledger: _Ledger,
    timeout: float,
) -> BaseException | None:
    """Have a worker do jobs of one type; return why a terminal event could not be published.

    :param cancel_after: by correlation id
    :param ledger: what earlier deliveries have published
    """
    cancels, unpublished = _Cancels(cancel_after), _Unpublished()
    settings = replace(worker.settings(), concurrency=1, processes=1)
    job_type = given[0].request.job_type
    with (
        _handlers(worker, job_type, settings) as handlers,
        _logging_of(handlers.get(job_type)),
        contextlib.closing(Heartbeats()) as heartbeats,
        event_loop() as loop,
        worker.lifespan.entered(worker, loop, ended=worker.stop) as state,
    ):
        capacity = capacity_for(
            settings, handlers, Surroundings(loop, state, tuple(worker.middlewares))
        )
        scheduler = assemble(
            Admission(handlers, worker.max_deliveries, ledger, cancels),
            Publishing(sender, worker.worker_id),
            capacity,
            unpublished,
            heartbeats,
            Membership(math.inf),
            Mailbox(),
            Observer(),
        )
        scheduler.assigned([0])
        scheduler.receive([cast(Received, each) for each in given])
        began = time.monotonic()
        while not scheduler.is_idle:
            seconds = time.monotonic() - began
            if seconds >= timeout:
                raise TimeoutError(f"{_words(given)} did not end within {timeout:g} s")
            scheduler.work()
            capacity.start_waiting()
            for job in cancels.due(seconds):
                scheduler.cancel(job)
            scheduler.mailbox.wait(POLL_SECONDS)
    return unpublished.error


def _words(given: Sequence[_Given]) -> str:
    request = given[0].request
    if len(given) == 1:
        return f"job {request.correlation_id} ({request.job_type})"
    return f"{len(given)} jobs ({request.job_type})"


@contextlib.contextmanager
def _handlers(
    worker: Worker, job_type: str, settings: WorkerSettings
) -> Iterator[Mapping[str, Handler]]:
    """Give the handlers for a job. ``process=True`` has a process; no batch waits for others."""
    handler = worker.handlers.get(job_type)
    if handler is None or not handler.in_process:
        yield {
            name: each if each.batching is None else replace(each, batching=each.batching.at_once())
            for name, each in with_defaults(worker.handlers, settings).items()
        }
        return
    if (handler.forward_logs or settings.forward_logs) != OFF:
        worker.child_set_up = worker.child_set_up or logging_of_environment(os.environ)
    with serving(worker, settings) as served:
        yield served.handlers


@contextlib.contextmanager
def _logging_of(handler: Handler | None) -> Iterator[None]:
    """Log as much as a worker does, if what a handler logs is forwarded."""
    if handler is None or handler.forward_logs == OFF:
        yield
        return
    root = logging.getLogger()
    before = root.level
    root.setLevel(min(before, logging.getLevelName(level_of_environment(os.environ).upper())))
    try:
        with capturing({handler.job_type: handler}):
            yield
    finally:
        root.setLevel(before)


class _Given:
    """A job request that no consumer has read."""

    partition = 0
    key = None
    timestamp_ms = -1

    def __init__(self, request: JobRequest, headers: RawHeaders = (), offset: int = 0) -> None:
        self.request = request
        self.offset = offset
        self.value = encode(request, Encoding.AVRO)
        self.headers = headers
        self.record = None

    def decode(self, _: type[JobRequest]) -> JobRequest:
        """Return the request."""
        return self.request


class _Ledger:
    """Knows one job at most: one that was begun before, with this external id or checkpoint."""

    has_unfinished = False

    def __init__(self, external_id: str | None = None, checkpoint: str | None = None) -> None:
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
    """Holds the reasons of cancels.

    :param after: by correlation id, after how many seconds a job is cancelled
    """

    def __init__(self, after: Mapping[str, float]) -> None:
        self.reasons: dict[str, str] = {}
        self._after = after

    def due(self, seconds: float) -> list[str]:
        """Return the jobs that are cancelled now, each once."""
        jobs = [job for job, after in self._after.items() if seconds >= after]
        due = [job for job in jobs if job not in self.reasons]
        self.reasons |= dict.fromkeys(due, "the test cancelled it")
        return due


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

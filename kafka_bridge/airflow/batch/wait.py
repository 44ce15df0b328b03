"""A trigger's wait for all the jobs of a batch, on the process's shared response reader."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from airflow.triggers.base import TriggerEvent

from kafka_bridge.airflow.batch.progress import BatchProgress
from kafka_bridge.airflow.batch.specs import BatchWaitSpec, OnFailure
from kafka_bridge.airflow.batch.timeouts import BatchTimeouts
from kafka_bridge.airflow.compat import in_thread
from kafka_bridge.airflow.kafka_access import KafkaAccess, head_reader
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer.cancel import DELIVERY_SECONDS, REASON, unless_deferred
from kafka_bridge.airflow.triggerer.job_log import JobLog
from kafka_bridge.airflow.triggerer.job_wait import warning_of
from kafka_bridge.airflow.triggerer.log_budget import PROCESS_BUDGET
from kafka_bridge.airflow.triggerer.shared_readers import join_hub
from kafka_bridge.airflow.triggerer.trigger_events import failure_event, wait_failure
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.responses.subscriptions import Notice, Truncated
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.ids import batch_job_ids

STEPS = 1000
"""How many notices are handled before other tasks of the event loop run: a millisecond."""
CHECK_SECONDS = 1.0
"""How often the timeouts are checked and progress is logged."""


class BatchWait:
    """Waits for the jobs of a batch as a spec says. Its lines go to the task's log."""

    def __init__(self, spec: BatchWaitSpec, log: TaskLog) -> None:
        self._spec = spec
        self._task_log = log
        self._kafka = KafkaAccess(
            spec.kafka_config_id,
            spec.control_topic,
            spec.encoding,
            spec.reply,
            DELIVERY_SECONDS,
            log,
        )
        self._progress = BatchProgress()
        self._timeouts: BatchTimeouts | None = None

    async def final_event(self) -> TriggerEvent:
        """Wait for the jobs, and return what the trigger fires: an error is an event, too."""
        try:
            return TriggerEvent(await self.outcome())
        except Exception as error:
            return failure_event(error, self._task_log)

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises ConfigurationError: the configured limits are invalid
        :raises KafkaBridgeError: the reader was closed, or could not be opened
        """
        spec = self._spec
        limit = job_limits().log_per_second
        log = JobLog(self._task_log, spec.progress_log_interval, PROCESS_BUDGET, limit)
        # On a thread: it makes the ids of all jobs.
        waiter, timeouts = await asyncio.to_thread(self._prepare)
        self._timeouts = timeouts
        with await join_hub(waiter, spec.kafka_config_id, spec.response_topic) as joined:
            try:
                return await self._outcome(joined, timeouts, log)
            finally:
                log.close()

    def _prepare(self) -> tuple[Waiter, BatchTimeouts]:
        spec = self._spec
        job_ids = batch_job_ids(spec.batch_id, spec.count)
        read_head = head_reader(spec.reply)
        waiter = Waiter(job_ids, spec.start_offsets, read_head=read_head)
        return waiter, BatchTimeouts(spec, job_ids, began=time.time())

    async def _outcome(
        self, waiter: Waiter, timeouts: BatchTimeouts, log: JobLog
    ) -> dict[str, Any]:
        next_check, steps = 0.0, 0
        while not timeouts.is_done:
            steps += 1
            if steps % STEPS == 0:  # waiter.next() does not pause while there are notices
                await asyncio.sleep(0)
            received = await waiter.next(next_check)
            if received is not None:
                self._handle(*received, timeouts, log)
            if self._spec.on_failure is OnFailure.FAIL_FAST and timeouts.has_failures:
                await self._cancel_unfinished("another job of the batch has failed")
                break
            if time.time() >= next_check:
                next_check = time.time() + CHECK_SECONDS
                timeouts.live_since = waiter.live_since
                if (failure := await self._check(timeouts, log)) is not None:
                    return failure
        tally = timeouts.tally
        return {"succeeded": tally.succeeded, "failed": tally.failed, "total": tally.total}

    async def _check(self, timeouts: BatchTimeouts, log: JobLog) -> dict[str, Any] | None:
        """Log progress; return the event's payload if a timeout has expired."""
        line = self._progress.line(timeouts.tally, time.monotonic())
        if line is not None:
            log.progress(line)
        log.log_kept()
        expired = timeouts.expired(time.time())
        if expired is None:
            return None
        if self._spec.cancel_on_kill:
            await self._cancel_unfinished(expired.message)
        return wait_failure(expired.reason.value, expired.message)

    async def cancel_unless_deferred(self, ti: Any) -> None:
        """Cancel the unfinished jobs, unless their task is still deferred."""
        what = f"Batch {self._spec.batch_id}"
        await unless_deferred(ti, self._task_log, what, lambda: self._cancel_unfinished(REASON))

    async def _cancel_unfinished(self, reason: str) -> None:
        """Cancel the unfinished jobs. A failure is logged, not raised."""
        if self._timeouts is not None and (jobs := list(self._timeouts.unfinished)):
            await in_thread(self._kafka.cancel_all, jobs, reason)

    def _handle(self, job: str, notice: Notice, timeouts: BatchTimeouts, log: JobLog) -> None:
        """Handle a notice.

        :raises KafkaBridgeError: the reader was closed
        """
        if isinstance(notice, Truncated | RemoteProtocolError):
            log.warning(warning_of(notice, "batch", self._spec.response_topic))
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        else:
            timeouts.apply(job, notice.head, time.time())

"""A trigger's wait for all the jobs of a batch, on the process's shared response reader."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from kafka_bridge.airflow.batch.progress import BatchProgress
from kafka_bridge.airflow.batch.specs import BatchWaitSpec, OnFailure
from kafka_bridge.airflow.batch.timeouts import BatchTimeouts
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer.cancel import DELIVERY_SECONDS
from kafka_bridge.airflow.triggerer.job_log import PROCESS_BUDGET, JobLog
from kafka_bridge.airflow.triggerer.job_wait import warning_of
from kafka_bridge.airflow.triggerer.shared_readers import join_hub
from kafka_bridge.airflow.triggerer.trigger_events import wait_failure
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.response_records import event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Notice, Truncated
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.ids import batch_job_ids

STEPS = 1000
"""How many notices are handled before other tasks of the event loop run: a millisecond."""
CHECK_SECONDS = 1.0
"""How often the timeouts are checked and progress is logged."""


class BatchWait:
    """Waits for the jobs of a batch as a spec says. Its lines go to the task's log.

    Making one for many jobs takes a while: not for the event loop.

    :raises ConfigurationError: the configured limits are invalid
    """

    def __init__(self, spec: BatchWaitSpec, log: TaskLog) -> None:
        self._spec = spec
        self._kafka = KafkaAccess(
            spec.kafka_config_id,
            spec.control_topic,
            spec.encoding,
            spec.reply,
            DELIVERY_SECONDS,
            log,
        )
        self._progress = BatchProgress()
        interval, rate = spec.progress_log_interval, job_limits().log_per_second
        self._log = JobLog(log, interval, PROCESS_BUDGET, rate)
        job_ids = batch_job_ids(spec.batch_id, spec.count)
        read_head = plain_head if spec.reply is Reply.PLAIN else event_head
        self._waiter = Waiter(job_ids, spec.start_offsets, read_head=read_head)
        self._timeouts = BatchTimeouts(spec, job_ids, began=time.time())

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises KafkaBridgeError: the reader was closed, or could not be opened
        """
        spec = self._spec
        with await join_hub(self._waiter, spec.kafka_config_id, spec.response_topic) as joined:
            try:
                return await self._outcome(joined)
            finally:
                self._log.close()

    async def _outcome(self, waiter: Waiter) -> dict[str, Any]:
        spec, timeouts = self._spec, self._timeouts
        next_check, steps = 0.0, 0
        while not timeouts.is_done:
            steps += 1
            if steps % STEPS == 0:  # waiter.next() does not pause while there are notices
                await asyncio.sleep(0)
            received = await waiter.next(next_check)
            if received is not None:
                self._handle(*received)
            if spec.on_failure is OnFailure.FAIL_FAST and timeouts.has_failures:
                await self.cancel_unfinished("another job of the batch has failed")
                break
            if time.time() >= next_check:
                next_check = time.time() + CHECK_SECONDS
                timeouts.live_since = waiter.live_since
                if (failure := await self._check()) is not None:
                    return failure
        tally = timeouts.tally
        return {"succeeded": tally.succeeded, "failed": tally.failed, "total": tally.total}

    async def _check(self) -> dict[str, Any] | None:
        """Log progress; return the event's payload if a timeout has expired."""
        line = self._progress.line(self._timeouts.tally, time.monotonic())
        if line is not None:
            self._log.progress(line)
        self._log.log_kept()
        expired = self._timeouts.expired(time.time())
        if expired is None:
            return None
        if self._spec.cancel_on_kill:
            await self.cancel_unfinished(expired.message)
        return wait_failure(expired.reason.value, expired.message)

    async def cancel_unfinished(self, reason: str) -> None:
        """Cancel the unfinished jobs. A failure is logged, not raised."""
        if jobs := list(self._timeouts.unfinished):
            await asyncio.to_thread(self._kafka.cancel_all, jobs, reason)

    def _handle(self, job: str, notice: Notice) -> None:
        """Handle a notice.

        :raises KafkaBridgeError: the reader was closed
        """
        if isinstance(notice, Truncated | RemoteProtocolError):
            self._log.warn(warning_of(notice, "batch", self._spec.response_topic))
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        else:
            self._timeouts.apply(job, notice.head, time.time())

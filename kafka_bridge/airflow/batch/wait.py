"""A trigger's wait for all the jobs of a batch, on the process's one response reader."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from kafka_bridge.airflow.batch.cancel import cancel_jobs
from kafka_bridge.airflow.batch.progress import BatchProgress
from kafka_bridge.airflow.batch.specs import BatchWaitSpec, OnFailure
from kafka_bridge.airflow.batch.timeouts import BatchLimits, BatchWatch
from kafka_bridge.airflow.batch.waiter import BatchWaiter
from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.triggerer.cancel import DELIVERY_SECONDS
from kafka_bridge.airflow.triggerer.job_log import PROCESS_BUDGET, JobLog, Log
from kafka_bridge.airflow.triggerer.shared_readers import begin_on_hub
from kafka_bridge.airflow.triggerer.trigger_events import wait_failure
from kafka_bridge.kafka.responses.event_readers import event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Notice, Truncated
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.ids import batch_job_ids

STEPS = 1000
"""How many notices are taken in before others on the event loop have their turn: a millisecond."""
LOOK_SECONDS = 1.0
"""How often the waiting rules are looked at, and whether there is progress to tell of."""


class BatchWait:
    """Waits for the jobs of a batch; its lines go to the trigger's log, which is the task's.

    Making one of many jobs takes a while: not for the event loop.
    """

    def __init__(self, spec: BatchWaitSpec, log: Log) -> None:
        self._spec = spec
        self._task_log = log
        self._progress = BatchProgress()
        interval, rate = spec.progress_log_interval, job_limits().log_per_second
        self._log = JobLog(log, interval, PROCESS_BUDGET, rate)
        self._job_ids = batch_job_ids(spec.batch_id, spec.count)
        self._waiter = BatchWaiter(
            self._job_ids,
            spec.start_offsets,
            read_head=plain_head if spec.reply is Reply.PLAIN else event_head,
        )
        limits = BatchLimits(spec.timeout, spec.heartbeat_timeout, spec.schedule_to_start_timeout)
        self._watch = BatchWatch(self._job_ids, limits, spec.submitted_at, began=time.time())

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises KafkaBridgeError: the reader has ended, or could not be opened
        """
        spec = self._spec
        with await begin_on_hub(
            self._job_ids, spec.kafka_config_id, spec.response_topic, self._waiter.join
        ) as waiter:
            try:
                return await self._outcome(waiter)
            finally:
                self._log.close()

    async def _outcome(self, waiter: BatchWaiter) -> dict[str, Any]:
        spec, watch = self._spec, self._watch
        next_look, steps = 0.0, 0
        while not watch.is_done:
            steps += 1
            if steps % STEPS == 0:  # waiter.next() does not pause while there are notices
                await asyncio.sleep(0)
            told = await waiter.next(next_look)
            if told is not None:
                self._take(*told)
            if spec.on_failure is OnFailure.FAIL_FAST and watch.has_failures:
                await self.cancel_unfinished("another job of the batch has failed")
                break
            if time.time() >= next_look:
                next_look = time.time() + LOOK_SECONDS
                watch.live_since = waiter.live_since
                if (time_out := await self._look()) is not None:
                    return time_out
        tally = watch.tally
        return {"succeeded": tally.succeeded, "failed": tally.failed, "total": tally.total}

    async def _look(self) -> dict[str, Any] | None:
        """Tell of progress; return the event where time is up."""
        line = self._progress.line(self._watch.tally, time.monotonic())
        if line is not None:
            self._log.progress(line)
        self._log.say_kept()
        passed = self._watch.passed(time.time())
        if passed is None:
            return None
        if self._spec.cancel_on_kill:
            await self.cancel_unfinished(passed.message)
        return wait_failure(passed.reason.value, passed.message)

    async def cancel_unfinished(self, reason: str) -> None:
        """Cancel the jobs that have not finished. A failure is logged, not raised."""
        await asyncio.to_thread(
            cancel_jobs,
            self._spec,
            partial(kafka_config, self._spec.kafka_config_id),
            list(self._watch.unfinished),
            reason,
            timeout=DELIVERY_SECONDS,
            log=self._task_log,
        )

    def _take(self, job: str, notice: Notice) -> None:
        """Take in what is told of a job.

        :raises KafkaBridgeError: the reader has ended
        """
        if isinstance(notice, RemoteProtocolError):
            self._log.warn(f"A response to a job of this batch cannot be read: {notice}")
        elif isinstance(notice, Truncated):
            self._log.warn(
                f"Responses to this batch may be lost: {self._spec.response_topic}"
                f"[{notice.partition}] begins at offset {notice.first}, the batch's records at "
                f"{notice.wanted} or later. The topic's retention is too short; the batch goes on "
                "under its time-outs."
            )
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        else:
            self._watch.take(job, notice.head, time.time())

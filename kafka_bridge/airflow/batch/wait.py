"""A trigger's wait for all the jobs of a batch, on the process's one response reader."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow.arguments import Reply
from kafka_bridge.airflow.batch.progress import BatchProgress
from kafka_bridge.airflow.batch.timeouts import BatchLimits, BatchWatch
from kafka_bridge.airflow.batch.trigger import OnFailure
from kafka_bridge.airflow.batch.waiter import BatchWaiter
from kafka_bridge.airflow.connections import kafka_config
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.triggerer.cancel import DELIVERY_SECONDS
from kafka_bridge.airflow.triggerer.job_log import PROCESS_BUDGET, JobLog
from kafka_bridge.airflow.triggerer.shared_readers import begin_on_hub
from kafka_bridge.airflow.triggerer.trigger_events import wait_failure
from kafka_bridge.kafka.commands import cancel_all
from kafka_bridge.kafka.responses.event_readers import event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Notice, Truncated
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.ids import batch_job_ids

if TYPE_CHECKING:
    from kafka_bridge.airflow.batch.trigger import KafkaJobBatchTrigger

STEPS = 1000
"""How many notices are taken in before others on the event loop have their turn: a millisecond."""
LOOK_SECONDS = 1.0
"""How often the waiting rules are looked at, and whether there is progress to tell of."""


class BatchWait:
    """Waits as a trigger says; its lines go to the trigger's log, which is the task's.

    To make one takes a while where there are many jobs: not for the event loop.
    """

    def __init__(self, trigger: KafkaJobBatchTrigger) -> None:
        self._trigger = trigger
        self._progress = BatchProgress()
        interval, rate = trigger.progress_log_interval, job_limits().log_per_second
        self._log = JobLog(trigger.log, interval, PROCESS_BUDGET, rate)
        self._job_ids = batch_job_ids(trigger.batch_id, trigger.count)
        self._waiter = BatchWaiter(
            self._job_ids,
            trigger.start_offsets,
            read_head=plain_head if trigger.reply == Reply.PLAIN else event_head,
        )
        limits = BatchLimits(
            trigger.timeout, trigger.heartbeat_timeout, trigger.schedule_to_start_timeout
        )
        self._watch = BatchWatch(self._job_ids, limits, trigger.submitted_at, began=time.time())

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises KafkaBridgeError: the reader has ended, or could not be opened
        """
        trigger = self._trigger
        with await begin_on_hub(
            self._job_ids, trigger.kafka_config_id, trigger.response_topic, self._waiter.join
        ) as waiter:
            try:
                return await self._outcome(waiter)
            finally:
                self._log.close()

    async def _outcome(self, waiter: BatchWaiter) -> dict[str, Any]:
        trigger, watch = self._trigger, self._watch
        next_look, steps = 0.0, 0
        while not watch.is_done:
            steps += 1
            if steps % STEPS == 0:  # waiter.next() does not pause while there are notices
                await asyncio.sleep(0)
            told = await waiter.next(next_look)
            if told is not None:
                self._take(*told)
            if trigger.on_failure == OnFailure.FAIL_FAST and watch.has_failures:
                await self.cancel_unfinished("another job of the batch has failed")
                break
            if time.time() >= next_look:
                next_look = time.time() + LOOK_SECONDS
                watch.hearing_since = waiter.hearing_since
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
        if self._trigger.cancel_on_kill:
            await self.cancel_unfinished(passed.message)
        return wait_failure(passed.reason.value, passed.message)

    async def cancel_unfinished(self, reason: str) -> None:
        """Tell the workers to cancel what has not ended; where that fails, it is logged.

        A stock service cannot be told.
        """
        jobs, trigger = list(self._watch.unfinished), self._trigger
        if not jobs or trigger.reply == Reply.PLAIN:
            return
        try:
            await asyncio.to_thread(self._cancel, jobs, reason)
        except KafkaBridgeError as error:
            trigger.log.warning("%d unfinished jobs could not be cancelled: %s", len(jobs), error)
        else:
            trigger.log.info("%d unfinished jobs: CANCEL is sent: %s", len(jobs), reason)

    def _cancel(self, jobs: list[str], reason: str) -> None:
        cancel_all(
            kafka_config(self._trigger.kafka_config_id),
            self._trigger.control_topic,
            jobs,
            reason,
            encoding=Encoding(self._trigger.encoding),
            timeout=DELIVERY_SECONDS,
        )

    def _take(self, job: str, notice: Notice) -> None:
        """Take in what is told of a job.

        :raises KafkaBridgeError: the reader has ended
        """
        if isinstance(notice, RemoteProtocolError):
            self._log.warn(f"A response to a job of this batch cannot be read: {notice}")
        elif isinstance(notice, Truncated):
            self._log.warn(
                f"Responses to this batch may be lost: {self._trigger.response_topic}"
                f"[{notice.partition}] begins at offset {notice.first}, the batch's records at "
                f"{notice.wanted} or later. The topic's retention is too short; the batch goes on "
                "under its time-outs."
            )
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        else:
            self._watch.take(job, notice.head, time.time())

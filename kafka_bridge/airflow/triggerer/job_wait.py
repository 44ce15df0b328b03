"""A trigger's wait for its job: what it hears, under the waiting rules, until an outcome."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.progress_text import JobLines
from kafka_bridge.airflow.specs import Reply, WaitSpec
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer.hub import Waiter
from kafka_bridge.airflow.triggerer.job_log import PROCESS_BUDGET, Allowance, JobLog
from kafka_bridge.airflow.triggerer.shared_readers import waiting_for
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS, JobWatch, WaitLimits
from kafka_bridge.airflow.triggerer.trigger_events import wait_failure
from kafka_bridge.kafka.responses.event_readers import event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Arrival, Notice, Truncated
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL, Verdict
from kafka_bridge.protocol.messages import JobState, StatusEvent

BURST_SECONDS = 2.0
"""A job that was quiet may have as many events read at once as otherwise in this time."""
EVENT_BYTES = 64 * 1024
"""Reading an event of this size takes a millisecond at most; a larger one counts as several."""
STEPS = 100
"""How many notices are taken in before others on the event loop have their turn."""


class JobWait:
    """Waits as a spec says. Its lines go to the task's log.

    :raises ConfigurationError: the limits that are configured make no sense
    """

    def __init__(self, spec: WaitSpec, log: TaskLog) -> None:
        self.end: Arrival | None = None
        """The job's terminal event, once it has come."""
        limits = job_limits()
        self._spec = spec
        self._lines = JobLines(limits.message)
        interval = spec.progress_log_interval
        self._log = JobLog(log, interval, PROCESS_BUDGET, limits.log_per_second)
        rate = limits.events_per_second
        self._events = Allowance(rate, rate * BURST_SECONDS)
        self._leaves_events_out = False

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises KafkaBridgeError: the reader has ended, or could not be opened
        """
        spec = self._spec
        limits = WaitLimits(
            spec.schedule_to_start_timeout,
            spec.heartbeat_timeout,
            spec.start_to_close_timeout,
        )
        watch = JobWatch(limits, spec.submitted_at, began=time.time())
        waiter = await waiting_for(
            spec.correlation_id,
            spec.kafka_config_id,
            spec.response_topic,
            spec.start_offsets,
            read_head=plain_head if spec.reply is Reply.PLAIN else event_head,
        )
        with waiter:
            try:
                return await self._outcome(waiter, watch)
            finally:
                self._log.close()

    async def _outcome(self, waiter: Waiter, watch: JobWatch) -> dict[str, Any]:
        steps = 0
        while True:
            steps += 1
            if steps % STEPS == 0:  # waiter.next() does not pause while there are notices
                await asyncio.sleep(0)
            watch.live_since = waiter.live_since
            deadline = watch.deadline()
            # Where no rule applies now, one may later: the reader may hear again.
            look_at = time.time() + MARGIN_SECONDS if deadline is None else deadline.at
            notice = await waiter.next(look_at)
            if notice is None:
                watch.live_since = waiter.live_since
                if (passed := watch.passed(time.time())) is not None:
                    return wait_failure(passed.reason.value, passed.message)
            elif (outcome := self._take(notice, watch)) is not None:
                return outcome
            self._log.say_kept()

    def _take(self, notice: Notice, watch: JobWatch) -> dict[str, Any] | None:
        """Take a notice in; return the outcome where it brings one.

        :raises KafkaBridgeError: the reader has ended
        """
        if isinstance(notice, RemoteProtocolError):
            self._log_unreadable(notice)
        elif isinstance(notice, Truncated):
            self._warn_of_truncation(notice)
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        elif notice.head.state in TERMINAL:
            return self._ended(notice)
        else:
            self._take_event(notice, watch)
        return None

    def _take_event(self, arrival: Arrival, watch: JobWatch) -> None:
        if self._events.is_spent:
            self._warn_of_events_left_out()
            watch.take(arrival.head, time.time())
            return
        self._events.spend(1 + len(arrival.value or b"") // EVENT_BYTES)
        try:
            event = arrival.event()
        except RemoteProtocolError as error:
            self._log_unreadable(error)
        else:
            if watch.take(event, time.time()) is Verdict.TAKEN:
                self._log_progress(event)

    def _warn_of_events_left_out(self) -> None:
        if not self._leaves_events_out:
            self._leaves_events_out = True
            self._log.warn(
                "The worker publishes more, or larger, status events than are read here "
                "([kafka_bridge] max_events_per_second): some progress and messages are not logged"
            )

    def _log_unreadable(self, error: RemoteProtocolError) -> None:
        self._log.warn(f"A response to this job cannot be read: {error}")

    def _warn_of_truncation(self, gone: Truncated) -> None:
        self._log.warn(
            f"Responses to this job may be lost: {self._spec.response_topic}[{gone.partition}] "
            f"begins at offset {gone.first}, the job's records at {gone.wanted} or later. "
            "The topic's retention is too short; the job goes on under its time-outs."
        )

    def _ended(self, arrival: Arrival) -> dict[str, Any]:
        self.end = arrival
        location = arrival.location
        return {
            "state": arrival.head.state.value,
            "partition": location.partition,
            "offset": location.offset,
        }

    def _log_progress(self, event: StatusEvent) -> None:
        line = self._lines.line_of(event)
        if line is not None:
            self._log.progress(line, is_rare=event.state is not JobState.RUNNING)

"""A trigger's wait for its job: what it hears, under the waiting rules, until an outcome."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow.progress_text import line_of
from kafka_bridge.airflow.responses import waiting_for
from kafka_bridge.airflow.waiting import MARGIN_SECONDS, JobWatch, WaitLimits
from kafka_bridge.kafka.notices import Arrival, Notice, Truncated
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL, Verdict
from kafka_bridge.protocol.messages import JobState, StatusEvent

if TYPE_CHECKING:
    from kafka_bridge.airflow.triggers import KafkaJobTrigger


class JobWait:
    """Waits as a trigger says; its lines go to the trigger's log, which is the task's."""

    def __init__(self, trigger: KafkaJobTrigger) -> None:
        self.end: Arrival | None = None
        """The job's terminal event, once it has come."""
        self._trigger = trigger
        self._next_line_at = 0.0
        self._next_warning_at = 0.0

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises KafkaBridgeError: the reader has ended, or could not be opened
        """
        trigger = self._trigger
        limits = WaitLimits(
            trigger.schedule_to_start_timeout,
            trigger.heartbeat_timeout,
            trigger.start_to_close_timeout,
        )
        watch = JobWatch(limits, trigger.submitted_at, began=time.time())
        async with waiting_for(
            trigger.correlation_id,
            trigger.kafka_config_id,
            trigger.response_topic,
            trigger.start_offsets,
        ) as waiter:
            while True:
                watch.hearing_since = waiter.hearing_since
                deadline = watch.deadline()
                # Where no rule applies now, one may later: the reader may hear again.
                look_at = time.time() + MARGIN_SECONDS if deadline is None else deadline.at
                notice = await waiter.next(look_at)
                if notice is None:
                    watch.hearing_since = waiter.hearing_since
                    if (passed := watch.passed(time.time())) is not None:
                        return {"error": passed.reason.value, "message": passed.message}
                elif (outcome := self._take(notice, watch)) is not None:
                    return outcome

    def _take(self, notice: Notice, watch: JobWatch) -> dict[str, Any] | None:
        """Take a notice in; return the outcome where it brings one.

        :raises KafkaBridgeError: the reader has ended
        """
        if isinstance(notice, RemoteProtocolError):
            self._log_unreadable(notice)
        elif isinstance(notice, Truncated):
            self._trigger.log.warning(
                "Responses to this job may be lost: %s[%d] begins at offset %d, the job's records "
                "at %d or later. The topic's retention is too short; the job goes on under its "
                "time-outs.",
                self._trigger.response_topic,
                notice.partition,
                notice.first,
                notice.wanted,
            )
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        elif notice.head.state in TERMINAL:
            return self._ended(notice)
        else:
            self._take_event(notice, watch)
        return None

    def _take_event(self, arrival: Arrival, watch: JobWatch) -> None:
        try:
            event = arrival.event()
        except RemoteProtocolError as error:
            self._log_unreadable(error)
        else:
            if watch.take(event, time.time()) is Verdict.TAKEN:
                self._log_progress(event)

    def _log_unreadable(self, error: RemoteProtocolError) -> None:
        if time.monotonic() >= self._next_warning_at:
            self._next_warning_at = time.monotonic() + self._trigger.progress_log_interval
            self._trigger.log.warning("A response to this job cannot be read: %s", error)

    def _ended(self, arrival: Arrival) -> dict[str, Any]:
        self.end = arrival
        location = arrival.location
        return {
            "state": arrival.head.state.value,
            "partition": location.partition,
            "offset": location.offset,
        }

    def _log_progress(self, event: StatusEvent) -> None:
        """Log sparingly: each line that a trigger logs slows the whole triggerer."""
        line = line_of(event)
        if line is None:
            return
        if event.state is JobState.RUNNING:
            if time.monotonic() < self._next_line_at:
                return
            self._next_line_at = time.monotonic() + self._trigger.progress_log_interval
        self._trigger.log.info("%s", line)

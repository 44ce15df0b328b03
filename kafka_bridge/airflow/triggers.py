"""The trigger: waits for a job on the process's shared response reader. It holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from kafka_bridge.airflow.progress_text import line_of
from kafka_bridge.airflow.waiting import MARGIN_SECONDS, JobWatch, WaitLimits
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL, Verdict
from kafka_bridge.protocol.messages import JobState, StatusEvent

if TYPE_CHECKING:
    from kafka_bridge.kafka.notices import Arrival, Notice


class KafkaJobTrigger(BaseTrigger):
    """Waits until a job ends, logs its progress, and fires one small event.

    The event is ``{"state": …, "partition": …, "offset": …}``, which says where the job's terminal
    record lies, or ``{"error": …, "message": …}`` when a waiting rule or the reader ended the wait.

    :param correlation_id: the job
    :param kafka_config_id: the Airflow connection
    :param response_topic: where its events come
    :param start_offsets: by partition, where that topic ended before the request was published
    :param submitted_at: when the request was published, seconds since 1970
    :param schedule_to_start_timeout: seconds until a worker must have accepted the job
    :param heartbeat_timeout: seconds that an accepted job's worker may be silent
    :param start_to_close_timeout: seconds that an accepted job may run
    :param progress_log_interval: seconds between two progress lines in the task's log
    :param not_before: fire no event before this moment, seconds since 1970
    """

    def __init__(
        self,
        *,
        correlation_id: str,
        kafka_config_id: str,
        response_topic: str,
        start_offsets: Sequence[int],
        submitted_at: float,
        schedule_to_start_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        start_to_close_timeout: float | None = None,
        progress_log_interval: float = 5.0,
        not_before: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.correlation_id = correlation_id
        self.kafka_config_id = kafka_config_id
        self.response_topic = response_topic
        self.start_offsets = list(start_offsets)
        self.submitted_at = submitted_at
        self.schedule_to_start_timeout = schedule_to_start_timeout
        self.heartbeat_timeout = heartbeat_timeout
        self.start_to_close_timeout = start_to_close_timeout
        self.progress_log_interval = progress_log_interval
        self.not_before = not_before
        self._next_line_at = 0.0
        self._next_warning_at = 0.0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores: plain JSON, no secret, no payload."""
        return (
            f"{KafkaJobTrigger.__module__}.{KafkaJobTrigger.__qualname__}",
            {
                "correlation_id": self.correlation_id,
                "kafka_config_id": self.kafka_config_id,
                "response_topic": self.response_topic,
                "start_offsets": self.start_offsets,
                "submitted_at": self.submitted_at,
                "schedule_to_start_timeout": self.schedule_to_start_timeout,
                "heartbeat_timeout": self.heartbeat_timeout,
                "start_to_close_timeout": self.start_to_close_timeout,
                "progress_log_interval": self.progress_log_interval,
                "not_before": self.not_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the job has ended, or the wait for it has."""
        try:
            outcome = await self._wait()
        except KafkaBridgeError as error:
            outcome = {"error": type(error).__name__, "message": str(error)}
        await asyncio.sleep(self.not_before - time.time())
        yield TriggerEvent(outcome)

    async def _wait(self) -> dict[str, Any]:
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.responses import waiting_for

        limits = WaitLimits(
            self.schedule_to_start_timeout, self.heartbeat_timeout, self.start_to_close_timeout
        )
        watch = JobWatch(limits, self.submitted_at, began=time.time())
        async with waiting_for(
            self.correlation_id, self.kafka_config_id, self.response_topic, self.start_offsets
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
        from kafka_bridge.kafka.notices import Truncated

        if isinstance(notice, RemoteProtocolError):
            self._log_unreadable(notice)
        elif isinstance(notice, Truncated):
            self.log.warning(
                "Responses to this job may be lost: %s[%d] begins at offset %d, the job's records "
                "at %d or later. The topic's retention is too short; the job goes on under its "
                "time-outs.",
                self.response_topic,
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
            self._next_warning_at = time.monotonic() + self.progress_log_interval
            self.log.warning("A response to this job cannot be read: %s", error)

    def _ended(self, arrival: Arrival) -> dict[str, Any]:
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
            self._next_line_at = time.monotonic() + self.progress_log_interval
        self.log.info("%s", line)

"""A trigger's wait for its job: reads the job's events until it finishes or a timeout ends it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from airflow.triggers.base import TriggerEvent

from kafka_bridge.airflow.kafka_access import head_reader
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.progress_text import JobLines
from kafka_bridge.airflow.queue_text import queue_facts
from kafka_bridge.airflow.specs import Reply, WaitSpec
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer import queue_watch
from kafka_bridge.airflow.triggerer.job_log import WARNING_BYTES, JobLog
from kafka_bridge.airflow.triggerer.log_budget import PROCESS_BUDGET, Allowance
from kafka_bridge.airflow.triggerer.queue_watch import Look
from kafka_bridge.airflow.triggerer.quiet_times import next_words_at
from kafka_bridge.airflow.triggerer.shared_readers import join_hub
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS, JobTimeouts
from kafka_bridge.airflow.triggerer.trigger_events import (
    failure_event,
    success_event,
    wait_failure,
)
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.responses.subscriptions import Arrival, Notice, Truncated
from kafka_bridge.protocol.errors import (
    ConfigurationError,
    KafkaBridgeError,
    RecordLocation,
    RemoteProtocolError,
)
from kafka_bridge.protocol.lifecycle import TERMINAL, Verdict
from kafka_bridge.protocol.messages import StatusEvent
from kafka_bridge.protocol.progress_text import duration
from kafka_bridge.protocol.sanitize import one_line

BURST_SECONDS = 2.0
"""A job that was quiet may have as many events read at once as otherwise in this time."""
EVENT_BYTES = 64 * 1024
"""Reading an event of this size takes a millisecond at most; a larger one counts as several."""
STEPS = 100
"""How many notices are handled before other tasks of the event loop run."""
_QUEUED = {Reply.EVENTS: "Queued", Reply.PLAIN: "No reply"}
"""A service with plain replies does not say when it begins."""


class JobWait:
    """Waits for one job as a spec says. Its lines go to the task's log.

    :raises ConfigurationError: the configured limits are invalid
    """

    # Of the class: for most of the tens of thousands of waiting jobs they never change.
    _is_over = False
    _asks = False
    """Whether the queue watch is to answer."""
    _said_why_unknown = False

    def __init__(self, spec: WaitSpec, log: TaskLog) -> None:
        self.end: Arrival | None = None
        """The job's terminal event, once it has arrived."""
        limits = job_limits()
        self._spec = spec
        self._task_log = log
        self._lines = JobLines(limits.message)
        interval = spec.progress_log_interval
        self._log = JobLog(log, interval, PROCESS_BUDGET, limits.log_per_second)
        rate = limits.events_per_second
        self._events = Allowance(rate, rate * BURST_SECONDS)
        self._leaves_events_out = False
        self._logged = dict(enumerate(spec.logged_offsets))
        self._said_at = began = time.time()
        """When the log last said what the job waits for, or the wait began; seconds since 1970."""
        self._timeouts = JobTimeouts(spec, began)

    @property
    def logged_offsets(self) -> list[int]:
        """By partition, the end of the events that are in the task's log; 0 where none are."""
        return [self._logged.get(n, 0) for n in range(max(self._logged, default=-1) + 1)]

    async def final_event(self) -> TriggerEvent:
        """Wait for the job, and return what its trigger fires: an error is an event, too."""
        spec, log = self._spec, self._task_log
        try:
            event = TriggerEvent(await self.outcome())
            if spec.end_from_trigger and self.end is not None:
                return success_event(spec, self.end, log) or event
        except Exception as error:
            return failure_event(error, log)
        return event

    async def outcome(self) -> dict[str, Any]:
        """Return the payload of the trigger's event.

        :raises KafkaBridgeError: the reader was closed, or could not be opened
        """
        spec = self._spec
        read_head = head_reader(spec.reply)
        waiter = Waiter([spec.correlation_id], spec.start_offsets, read_head=read_head)
        with await join_hub(waiter, spec.kafka_config_id, spec.response_topic) as joined:
            try:
                return await self._outcome(joined)
            finally:
                self._is_over = True
                self._log.close()

    async def _outcome(self, waiter: Waiter) -> dict[str, Any]:
        timeouts, steps = self._timeouts, 0
        while True:
            steps += 1
            if steps % STEPS == 0:  # waiter.next() does not pause while there are notices
                await asyncio.sleep(0)
            timeouts.live_since = waiter.live_since
            deadline = timeouts.deadline()
            # If no timeout applies now, one may later, when the reader is live again.
            wake_at = time.time() + MARGIN_SECONDS if deadline is None else deadline.at
            received = await waiter.next(min(wake_at, self._next_words_at))
            if received is None:
                timeouts.live_since = waiter.live_since
                now = time.time()
                if (expired := timeouts.expired(now)) is not None:
                    return wait_failure(expired.reason.value, expired.message)
                if now >= self._next_words_at:
                    self._say_what_it_waits_for(now)
            elif (outcome := self._handle(received[1])) is not None:
                return outcome
            self._log.log_kept()

    @property
    def _next_words_at(self) -> float:
        has_queue = bool(self._spec.request_topic)
        return next_words_at(self._timeouts, self._said_at, has_queue=has_queue)

    def _say_what_it_waits_for(self, now: float) -> None:
        self._said_at = now
        if self._timeouts.queued_since is None:
            if self._log.has_room:
                self._log.warning(self._timeouts.silence(now))
        elif not self._asks:
            self._asks = True
            queue_watch.ask(self._spec.kafka_config_id, self._spec.request_topic, self._say_queued)

    def _say_queued(self, look: Look) -> bool:
        """Log what a look has found; return False if that is not news of this job any more."""
        self._asks = False
        since, spec = self._timeouts.queued_since, self._spec
        if since is None or self._is_over or not self._log.has_room:
            return False
        line = f"{_QUEUED[spec.reply]} for {duration(time.time() - since)}"
        if look.queue.unknown is None or not self._said_why_unknown:
            place = spec.request_partition, spec.request_offset
            facts = queue_facts(look.queue, look.paces, *place)
            line = line if facts is None else f"{line}: {facts}"
        self._said_why_unknown = look.queue.unknown is not None
        self._log.progress(one_line(line, WARNING_BYTES), is_rare=True)
        return True

    def _handle(self, notice: Notice) -> dict[str, Any] | None:
        """Handle a notice; return the outcome if it is the job's terminal event.

        :raises KafkaBridgeError: the reader was closed
        """
        if isinstance(notice, Truncated | RemoteProtocolError):
            self._log.warning(warning_of(notice, "job", self._spec.response_topic))
        elif isinstance(notice, KafkaBridgeError):
            raise notice
        elif notice.head.state in TERMINAL:
            return self._finished(notice)
        else:
            self._handle_event(notice)
        return None

    def _handle_event(self, arrival: Arrival) -> None:
        if self._events.is_spent:
            self._warn_of_events_left_out()
            self._timeouts.apply(arrival.head, time.time())
            return
        self._events.spend(1 + len(arrival.value or b"") // EVENT_BYTES)
        try:
            event = arrival.event()
        except RemoteProtocolError as error:
            self._log.warning(warning_of(error, "job", self._spec.response_topic))
        else:
            if self._timeouts.apply(event, time.time()) is Verdict.TAKEN:
                self._log_progress(event, arrival.location)

    def _warn_of_events_left_out(self) -> None:
        if not self._leaves_events_out:
            self._leaves_events_out = True
            self._log.warning(
                "The worker publishes more, or larger, status events than are read here "
                "([kafka_bridge] max_events_per_second): some progress and messages are not logged"
            )

    def _finished(self, arrival: Arrival) -> dict[str, Any]:
        self.end = arrival
        location = arrival.location
        return {
            "state": arrival.head.state.value,
            "partition": location.partition,
            "offset": location.offset,
        }

    def _log_progress(self, event: StatusEvent, location: RecordLocation) -> None:
        # Of a logged event, too: deliveries and rates begin with the first one.
        change, progress = self._lines.change_of(event), self._lines.progress_of(event)
        if self._was_logged(location):
            return
        if lines := self._lines.logged_in(event):
            self._log.forwarded(lines)
        if (line := change or progress) is not None:
            self._log.progress(line, is_rare=change is not None)
        if not self._log.has_kept:
            self._logged[location.partition] = location.offset + 1

    def _was_logged(self, location: RecordLocation) -> bool:
        """Return whether an event was in the task's log when this wait began."""
        logged = self._spec.logged_offsets
        return location.partition < len(logged) and location.offset < logged[location.partition]


def warning_of(notice: Truncated | RemoteProtocolError, what: str, topic: str) -> str:
    """Return the log line for responses that were lost or cannot be read.

    :param what: what waits for them: ``"job"`` or ``"batch"``
    """
    if isinstance(notice, RemoteProtocolError):
        return f"A response to this {what} cannot be read: {notice}"
    return (
        f"Responses to this {what} may be lost: {topic}[{notice.partition}] begins at offset "
        f"{notice.first}, but this {what} needs it from offset {notice.wanted} on. The topic's "
        f"retention is too short. The {what} goes on until it finishes or times out."
    )


async def final_event(spec: WaitSpec, log: TaskLog) -> TriggerEvent:
    """Wait for a job, and return what its trigger fires: an error is an event, too."""
    try:
        wait = JobWait(spec, log)
    except ConfigurationError as error:
        return failure_event(error, log)
    return await wait.final_event()

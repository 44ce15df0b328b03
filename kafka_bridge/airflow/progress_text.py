"""Status events as lines of a task's log."""

from __future__ import annotations

import math
import sys

from kafka_bridge.protocol.log_lines import LOG_LINES, LogLine, log_lines
from kafka_bridge.protocol.messages import JobState, Progress, StatusEvent
from kafka_bridge.protocol.progress_text import progress_text
from kafka_bridge.protocol.sanitize import one_line

LEAST_SECONDS = 1.0
"""The shortest time of observed progress from which a rate is computed."""


class JobLines:
    """One job's events as lines, with the job's rate by its worker's clock.

    :param message_bytes: the most bytes of a worker's message
    """

    __slots__ = ("_delivery", "_message_bytes", "_since", "_worker")

    def __init__(self, message_bytes: int) -> None:
        self._message_bytes = message_bytes
        self._delivery = 0
        """The last delivery that was seen; 0 before the first one."""
        self._worker: str | None = None
        """The worker that began it; None if nobody has the job."""
        self._since: tuple[int, float, float] | None = None
        """This delivery's first progress: delivery, seconds since 1970, amount completed."""

    def change_of(self, event: StatusEvent) -> str | None:
        """Return the line of an event that says who has the job now; None for any other event.

        Call this once for each event that counts, in their order.
        """
        lost = self._begin(event)
        match event.state:
            case JobState.RELEASED:
                self._worker = None
                return f"Released by worker {event.worker_id}; waiting for another worker"
            case JobState.ACCEPTED | JobState.RUNNING if lost is not None:
                return f"Delivery {event.delivery} of the job: {_succession(lost, event.worker_id)}"
            case JobState.ACCEPTED:
                return f"Accepted by worker {event.worker_id}{_delivery(event)}"
            case _:
                return None

    def _begin(self, event: StatusEvent) -> str | None:
        """Note who began this delivery; return the worker that the one before was taken from."""
        if event.delivery == self._delivery and self._worker is not None:
            # A worker that takes the job over sends its first events as this delivery.
            return None
        lost = self._worker
        # For thousands of waiting jobs there are only some workers: their names are shared.
        self._delivery, self._worker = event.delivery, sys.intern(event.worker_id)
        return lost

    def progress_of(self, event: StatusEvent) -> str | None:
        """Return the line of an event that says how far the job is, or None if it has no news."""
        if event.state is not JobState.RUNNING:
            return None
        # The message of an event with log lines is for readers that do not know them.
        parts = [] if event.attributes.get(LOG_LINES) else [self._message(event)]
        if event.progress is not None:
            parts.insert(0, progress_text(event.progress, self._rate(event, event.progress)))
        return " – ".join(filter(None, parts)) or None

    def logged_in(self, event: StatusEvent) -> list[LogLine]:
        """Return what the job has logged, as far as an event has it."""
        if event.state is not JobState.RUNNING:
            return []
        return list(log_lines(event.attributes, self._message_bytes))

    def _message(self, event: StatusEvent) -> str:
        return one_line(event.message or "", self._message_bytes)

    def _rate(self, event: StatusEvent, progress: Progress) -> float | None:
        """Return the amount per second, or None while it is unknown."""
        now = event.occurred_at.timestamp()
        if self._since is None or self._since[0] != event.delivery:
            self._since = (event.delivery, now, progress.completed)
            return None
        _, begun, had = self._since
        if now - begun < LEAST_SECONDS or progress.completed <= had:
            return None
        rate = (progress.completed - had) / (now - begun)
        return rate if math.isfinite(rate) else None


def _succession(lost: str, worker: str) -> str:
    if lost == worker:
        return f"worker {worker} was interrupted; it runs there again"
    return f"worker {lost} was lost; it runs on worker {worker}"


def _delivery(event: StatusEvent) -> str:
    return "" if event.delivery == 1 else f" (delivery {event.delivery})"

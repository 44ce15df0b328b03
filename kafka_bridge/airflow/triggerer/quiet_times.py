"""When a job's log says what the job waits for, while nothing happens. Times are seconds."""

from __future__ import annotations

import math

from kafka_bridge.airflow.triggerer.timeouts import JobTimeouts

QUEUE_AGES = (30.0, 60.0, 300.0, 900.0)
"""How long a job has been queued when its log says so; after that in each :data:`EVERY_SECONDS`."""
EVERY_SECONDS = 900.0


def next_words_at(timeouts: JobTimeouts, said_at: float, *, has_queue: bool) -> float:
    """Return when the log says next what the job waits for, in seconds since 1970.

    While the job is queued, that is seldom. While it runs, it is when its worker has been silent
    for half of the heartbeat timeout. Infinite if never.

    :param said_at: when the log said it last, or when the wait began
    :param has_queue: whether something can be said of a queued job
    """
    since = timeouts.queued_since
    if since is None:
        return timeouts.silent_at if timeouts.silent_at > said_at else math.inf
    if not has_queue:
        return math.inf
    return max(since + _next_age(said_at - since), timeouts.proves_something_at)


def _next_age(age: float) -> float:
    later = (each for each in QUEUE_AGES if each > age)
    return next(later, (age // EVERY_SECONDS + 1) * EVERY_SECONDS)

"""Looks at request topics for the queued jobs of a process: one look for all jobs of a topic.

A job asks when its log is due to say something. While jobs ask, each of their topics is looked at
once in :data:`LOOK_SECONDS` at most, on a thread. The jobs are answered in turn, and only as fast
as the process's log may take their lines.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kafka_bridge.airflow.compat import in_thread
from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.triggerer.log_budget import LINES_PER_SECOND, PROCESS_BUDGET, LogBudget
from kafka_bridge.kafka.admin.queue_position import TopicQueue, queues_of
from kafka_bridge.protocol.errors import KafkaBridgeError

LOOK_SECONDS = 15.0
"""How old a look may be."""
PAUSE_SECONDS = 5.0
"""The least time between two looks: each opens a connection."""
TIMEOUT_SECONDS = 10.0
"""How long a look may take."""
TURN_SECONDS = 1.0
LINES_A_TURN = int(LINES_PER_SECOND / 2)
"""How many jobs are answered in a turn: half of the log is left to progress."""
HISTORY_SECONDS = 300.0
"""Over how long a time the pace of a partition is measured, where jobs ask often."""
LONGEST_SECONDS = 1200.0
"""Jobs ask every 15 minutes at least. A look that is older than this is forgotten."""
LEAST_DONE = 3
"""From how many finished jobs a pace is computed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at a moment.

    :ivar at: seconds of :func:`time.monotonic`
    :ivar paces: by partition, how many jobs finish in a second, where that is known
    """

    at: float
    queue: TopicQueue
    paces: Mapping[int, float] = field(default_factory=dict)


Answer: TypeAlias = Callable[[Look], bool]
"""Gets the look that a job has asked for; returns whether the job has logged a line."""


class QueueWatch:
    """The looks for all queued jobs of one connection. For one event loop.

    :param look: looks at topics, as
        :func:`~kafka_bridge.kafka.admin.queue_position.queues_of`; it blocks
    :param budget: what the jobs of the process may log together
    """

    def __init__(
        self, look: Callable[[list[str]], Mapping[str, TopicQueue]], budget: LogBudget
    ) -> None:
        self._look = look
        self._budget = budget
        self._asked: deque[tuple[str, Answer]] = deque()
        self._looks: dict[str, deque[Look]] = {}
        self._next_look_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def ask(self, topic: str, answer: Answer) -> None:
        """Call ``answer`` on the event loop when it is this job's turn."""
        self._asked.append((topic, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        while self._asked:
            if due := self._due():
                await self._look_at(due)
            self._answer()
            await asyncio.sleep(TURN_SECONDS)

    def _due(self) -> list[str]:
        """Return the topics to look at now."""
        now = time.monotonic()
        if now < self._next_look_at:
            return []
        return sorted(topic for topic in {topic for topic, _ in self._asked} if self._is_old(topic))

    def _is_old(self, topic: str) -> bool:
        looks = self._looks.get(topic)
        return not looks or time.monotonic() - looks[-1].at >= LOOK_SECONDS

    async def _look_at(self, topics: list[str]) -> None:
        try:
            queues = await in_thread(self._look, topics)
        except KafkaBridgeError as error:
            queues = dict.fromkeys(topics, TopicQueue(unknown=str(error)))
        except Exception as error:  # no wait may end because of a look
            _log.exception("Looking at the request topics %s failed unexpectedly", topics)
            queues = dict.fromkeys(topics, TopicQueue(unknown=type(error).__name__))
        now = time.monotonic()
        self._next_look_at = now + PAUSE_SECONDS
        for topic, queue in queues.items():
            looks = self._looks.setdefault(topic, deque())
            _forget_old(looks, now)
            if looks and not looks[-1].queue.partitions:
                looks.pop()  # nothing was known: no pace can be measured from there
            looks.append(Look(now, queue, _paces(looks[0], queue, now) if looks else {}))
        for topic in [each for each, looks in self._looks.items() if _is_over(looks, now)]:
            del self._looks[topic]

    def _answer(self) -> None:
        """Answer the jobs whose turn it is; those without a look of their topic wait."""
        lines = 0
        for _ in range(len(self._asked)):
            if lines == LINES_A_TURN or self._budget.is_spent:
                return
            topic, answer = self._asked.popleft()
            if self._is_old(topic):
                self._asked.append((topic, answer))
                continue
            try:
                lines += answer(self._looks[topic][-1])
            except Exception:  # the others are still to be answered
                _log.exception("Telling a job about topic %s failed unexpectedly", topic)


def _forget_old(looks: deque[Look], now: float) -> None:
    """Leave one look that is older than the time over which a pace is measured, if there is one."""
    while looks and now - looks[0].at > LONGEST_SECONDS:
        looks.popleft()
    while len(looks) > 1 and now - looks[1].at > HISTORY_SECONDS:
        looks.popleft()


def _is_over(looks: deque[Look], now: float) -> bool:
    return now - looks[-1].at > LONGEST_SECONDS


def _paces(earlier: Look, queue: TopicQueue, now: float) -> dict[int, float]:
    """Return how many jobs of each partition finish in a second, where enough have finished."""
    paces = {}
    for number, partition in queue.partitions.items():
        before = earlier.queue.partitions.get(number)
        if before is not None and partition.done - before.done >= LEAST_DONE:
            paces[number] = (partition.done - before.done) / (now - earlier.at)
    return paces


_watches: dict[tuple[asyncio.AbstractEventLoop, str], QueueWatch] = {}


def ask(kafka_config_id: str, topic: str, answer: Answer) -> None:
    """Ask the process's watch of a connection about a request topic; see :class:`QueueWatch`."""
    key = (asyncio.get_running_loop(), kafka_config_id)
    watch = _watches.get(key)
    if watch is None:
        watch = _watches[key] = QueueWatch(
            lambda topics: queues_of(kafka_config(kafka_config_id), topics, TIMEOUT_SECONDS),
            PROCESS_BUDGET,
        )
    watch.ask(topic, answer)

"""Follows the jobs by an Airflow connection, which may be missing, or come later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

from kafka_bridge.board.source import Follower
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.follower import JobFollower, TopicStatus
from kafka_bridge.monitor.reading import MonitoredTopics
from kafka_bridge.protocol.errors import KafkaBridgeError

_log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
"""How long to wait before a connection that cannot be used is looked up again."""


class ConnectionFollower:
    """Looks up a connection on a thread of its own, and then follows the topics.

    :param config: looks the connection up; it may ask a database, or a secrets backend
    :param since: records from this time on are read
    :param follow: starts to follow the topics: called as :class:`JobFollower` is
    """

    def __init__(
        self,
        config: Callable[[], KafkaConfig],
        topics: MonitoredTopics,
        since: datetime,
        book: JobBook,
        *,
        follow: Callable[..., Follower] = JobFollower,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._config = config
        self._topics = topics
        self._begin: Callable[[KafkaConfig], Follower] = partial(
            follow, topics=topics, since=since, book=book
        )
        self._retry_seconds = retry_seconds
        self._follower: Follower | None = None
        self._failure: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._open, name="kafka-bridge-board", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follower = self._begin(self._config())
            except KafkaBridgeError as error:
                self._failure = str(error)
            except Exception as error:  # a secrets backend raises what it wants, perhaps secrets
                _log.exception("The board's connection to Kafka cannot be looked up")
                self._failure = (
                    f"the connection to Kafka cannot be looked up ({type(error).__name__}): the "
                    "log of Airflow's API server says why"
                )
            else:
                return
            self._stopping.wait(self._retry_seconds)

    def wait_until_caught_up(self, timeout: float) -> bool:
        """Wait until all that the topics had at the start was read; return whether it was.

        A connection that cannot be used is not waited for.
        """
        if self._follower is not None:
            return self._follower.wait_until_caught_up(timeout)
        return self._failure is not None

    def statuses(self) -> list[TopicStatus]:
        """Return how each topic is being followed: not at all without a connection."""
        if self._follower is not None:
            return self._follower.statuses()
        return [
            TopicStatus(topic, kind, False, self._failure, 0, 0, 0)  # noqa: FBT003
            for topic, kind in self._topics.kinds().items()
        ]

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        if self._follower is not None:
            self._follower.close()

"""Show the newest dead letters, and send one of them to its topic again."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kafka_bridge.kafka.admin.dead_letter_topic import (
    DeadLetter,
    dead_letter_at,
    newest_dead_letters,
)
from kafka_bridge.kafka.admin.replay import Refusal, plan_replays
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.reading import ANSWER_SECONDS, MonitoredTopics
from kafka_bridge.monitor.transitions import ERROR_BYTES, request_view
from kafka_bridge.protocol.errors import KafkaBridgeError, RecordLocation
from kafka_bridge.protocol.sanitize import block

MOST = 500
"""How many dead letters of a topic are kept, the newest ones. Each takes about 2 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterView:
    """A dead letter without its value. Texts are safe to show.

    :ivar job: its job. If the letter cannot be read, its ``request`` is None, and its id is empty
        unless the record's key is one
    :ivar original: where the request lies or lay; None if the letter does not say it
    :ivar is_readable: whether its value is a job request
    """

    location: RecordLocation
    dead_lettered_at: datetime | None
    original: RecordLocation | None
    error_type: str
    error_message: str
    job: JobView
    is_readable: bool


def letter_view(letter: DeadLetter) -> LetterView:
    """Return what is shown of a dead letter in a list."""
    place, headers = letter.record.location, letter.headers
    request = None
    if letter.request is not None:
        request = request_view(letter.request, headers.original or place)
    return LetterView(
        location=place,
        dead_lettered_at=letter.dead_lettered_at,
        original=headers.original,
        error_type=headers.error_type.rpartition(".")[2],
        # The error of an unreadable request begins with its place.
        error_message=block(
            headers.error_message.removeprefix(f"{headers.original}: "), ERROR_BYTES
        ),
        job=JobView(correlation_id=letter.correlation_id or "", request=request),
        is_readable=request is not None,
    )


@dataclass(frozen=True, slots=True)
class NewestLetters:
    """The newest dead letters, the newest first. ``failures``: why topics could not be read."""

    letters: Sequence[LetterView]
    failures: Sequence[str]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Where a replayed request is. ``new_job``: its job's id, if it was submitted as a new one."""

    location: RecordLocation
    new_job: str | None


class ReplayRefused(KafkaBridgeError):
    """A dead letter is not replayed, because that would be useless or harmful."""


class DeadLetters:
    """The dead letters of some topics. Its methods block; threads may share it.

    :param config: returns how to reach Kafka
    :param topics: a replay goes to one of their request topics only: the letter's headers name the
        topic, and anybody who may write dead letters can write such headers
    """

    def __init__(self, config: Callable[[], KafkaConfig], topics: MonitoredTopics) -> None:
        self._config = config
        self._topics = topics
        self._lock = threading.Lock()
        self._read: dict[str, tuple[Sequence[int], list[LetterView]]] = {}

    def newest(self) -> NewestLetters:
        """Return the newest dead letters. A topic is read again only if it has new ones."""
        letters: list[LetterView] = []
        failures: list[str] = []
        with self._lock:  # so that one thread reads, and the others wait
            for topic in self._topics.dead_letters:
                try:
                    self._read_if_changed(topic)
                except KafkaBridgeError as error:
                    failures.append(str(error))
                letters += self._read[topic][1] if topic in self._read else []
        return NewestLetters(sorted(letters, key=_age, reverse=True), failures)

    def _read_if_changed(self, topic: str) -> None:
        config = self._config()
        ends = end_offsets(config, [topic], ANSWER_SECONDS)[topic]
        if topic not in self._read or self._read[topic][0] != ends:
            found = map(letter_view, newest_dead_letters(config, topic, ends, MOST))
            self._read[topic] = ends, heapq.nlargest(MOST, found, key=_age)

    def letter(self, place: RecordLocation) -> DeadLetter | None:
        """Return a dead letter with its bytes; None if the place is in no dead-letter topic.

        :raises RecordGone: there is no record
        :raises KafkaError: it cannot be read
        """
        if place.topic not in self._topics.dead_letters:
            return None
        return dead_letter_at(self._config(), place)

    def replay(self, letter: DeadLetter, *, as_new: bool) -> Replayed:
        """Send a dead letter to the topic that it came from, and wait until the brokers have it.

        :param as_new: if the job is finished, submit it under a new id
        :raises ReplayRefused: it would be useless or harmful
        :raises KafkaError: the brokers do not have it
        """
        original = letter.headers.original
        if original is not None and original.topic not in self._topics.requests:
            raise ReplayRefused(
                f"it came from topic {original.topic!r}, which is not a request topic of this board"
            )
        config = self._config()
        (plan,) = plan_replays(config, [letter], to=None, as_new=as_new)
        if isinstance(plan, Refusal):
            raise ReplayRefused(plan.reason)
        with RecordProducer(config, ANSWER_SECONDS) as producer:
            producer.connect(plan.topic)
            return Replayed(plan.send(producer).result(), plan.new_job)


def _age(letter: LetterView) -> tuple[float, str, int, int]:
    at, place = letter.dead_lettered_at, letter.location
    return at.timestamp() if at else 0.0, place.topic, place.partition, place.offset

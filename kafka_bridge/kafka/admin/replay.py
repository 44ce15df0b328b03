"""Send dead letters back to their topics, unless that would be useless or harmful.

Workers of level 3 skip a request whose job has a terminal event in its response topic. So a replay
reads that topic first: an unfinished job is sent as it is, a finished one only as a new job. The
new job's id is derived from the old id and the letter's location. A letter that is replayed twice
creates one new job, not two: the second request is for a job that workers know.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kafka_bridge.kafka.admin.dead_letter_topic import ANSWER_SECONDS, DeadLetter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_lookup import terminal_states
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import detect, encode
from kafka_bridge.protocol.errors import RecordGone, RecordLocation, TopicNotFound
from kafka_bridge.protocol.headers import Headers, request_headers
from kafka_bridge.protocol.messages import JobRequest, JobState, utc_now

REPLAYED = "kafka_bridge-replayed"
"""The header of a replayed request: the location of its dead letter."""
REPLAY_OF = "replay_of"
"""The attribute of a job that was submitted as new: the id of the job that it repeats."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A record to send. ``new_job`` is its job's id where it differs from the letter's."""

    letter: DeadLetter
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    new_job: str | None = None

    def send(self, producer: RecordProducer) -> Future[RecordLocation]:
        """Send it; the future is the producer's."""
        mark = (REPLAYED, str(self.letter.record.location).encode())
        kept = [each for each in self.headers if each[0] != REPLAYED]
        return producer.send(self.topic, self.key, self.value, [*kept, mark])


@dataclass(frozen=True, slots=True)
class Refusal:
    """A dead letter that is not replayed, and why.

    :ivar advice: what to do on the command line, if something helps there
    """

    letter: DeadLetter
    reason: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class _TerminalStates:
    """The terminal states by response topic and job, and which topics do not exist."""

    ended: Mapping[tuple[str, str], JobState]
    missing: frozenset[str]


def plan_replays(
    config: KafkaConfig, letters: Sequence[DeadLetter], *, to: str | None, as_new: bool
) -> list[Replay | Refusal]:
    """Return for each letter what to send, or why it is refused. Nothing is sent.

    :param to: the topic to send to; None is the one that each came from
    :param as_new: submit finished jobs under a new id, instead of refusing them
    :raises KafkaError: Kafka cannot be read
    """
    complete, plan = _with_values(config, letters)
    targets = {topic for letter in complete if (topic := _target(letter, to)) is not None}
    missing = {topic for topic in targets if not _exists(config, topic)}
    states = _read_states(config, complete)
    states = replace(states, missing=states.missing | missing)
    plan += [_plan(letter, _target(letter, to), states, as_new=as_new) for letter in complete]
    return plan


def _with_values(
    config: KafkaConfig, letters: Iterable[DeadLetter]
) -> tuple[list[DeadLetter], list[Replay | Refusal]]:
    """Return the letters with their values, and refusals of those without."""
    complete: list[DeadLetter] = []
    refusals: list[Replay | Refusal] = []
    for letter in letters:
        try:
            complete.append(letter.restored(config))
        except (RecordGone, TopicNotFound) as error:
            refusals.append(
                Refusal(letter, f"its value was too large for a dead letter, and {error}")
            )
    return complete, refusals


def _target(letter: DeadLetter, to: str | None) -> str | None:
    original = letter.headers.original
    return to or (None if original is None else original.topic)


def _exists(config: KafkaConfig, topic: str) -> bool:
    try:
        end_offsets(config, [topic], ANSWER_SECONDS)
    except TopicNotFound:
        return False
    return True


def _read_states(config: KafkaConfig, letters: Iterable[DeadLetter]) -> _TerminalStates:
    by_topic: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        if letter.response_topic and letter.correlation_id:
            by_topic[letter.response_topic].append(letter)
    ended: dict[tuple[str, str], JobState] = {}
    missing = set()
    for topic, of_topic in by_topic.items():
        jobs = {
            job for letter in of_topic for job in (letter.correlation_id, _new_id(letter)) if job
        }
        try:
            found = terminal_states(config, topic, jobs, _oldest(of_topic), ANSWER_SECONDS)
        except TopicNotFound:
            missing.add(topic)
        else:
            ended |= {(topic, job): state for job, state in found.items()}
    return _TerminalStates(ended, frozenset(missing))


def _oldest(letters: Iterable[DeadLetter]) -> datetime | None:
    moments = [letter.requested_at for letter in letters]
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) else None


def _new_id(letter: DeadLetter) -> str | None:
    old = letter.correlation_id
    return None if old is None else str(uuid.uuid5(uuid.UUID(old), str(letter.record.location)))


def _plan(
    letter: DeadLetter, target: str | None, states: _TerminalStates, *, as_new: bool
) -> Replay | Refusal:
    if target is None:
        return Refusal(letter, "its headers do not say which topic it came from", "use --to TOPIC")
    if target == letter.record.location.topic:
        return Refusal(letter, f"{target} is the dead-letter topic: no worker reads it")
    for topic in (target, letter.response_topic):
        if topic in states.missing:
            return Refusal(
                letter, f"topic {topic!r} does not exist, so it would become a dead letter again"
            )
    state = states.ended.get((letter.response_topic or "", letter.correlation_id or ""))
    if state is None:
        record = letter.record
        return Replay(letter, target, record.key, record.value, letter.own_headers)
    return _plan_finished(letter, target, state, states, as_new=as_new)


def _plan_finished(
    letter: DeadLetter, target: str, state: JobState, states: _TerminalStates, *, as_new: bool
) -> Replay | Refusal:
    finished = f"job {letter.correlation_id} is finished ({state}), so workers would skip it"
    if letter.request is None:
        return Refusal(
            letter,
            f"{finished}, and it cannot be given a new id, as it cannot be read "
            f"({letter.unreadable}): submit the work again where it came from",
        )
    if not as_new:
        return Refusal(letter, finished, "--as-new submits it under a new id")
    new = _submitted_anew(letter, letter.request)
    again = states.ended.get((letter.request.response_topic, new.correlation_id))
    if again is not None:
        return Refusal(
            letter,
            f"it was submitted as new before: as job {new.correlation_id}, which is finished "
            f"({again}). If that is not what you want, submit the work again where it came from",
        )
    return _replay_as_new(letter, target, new)


def _submitted_anew(letter: DeadLetter, old: JobRequest) -> JobRequest:
    """Return the same work under a new id, with as much time as the old one had."""
    created_at = utc_now()
    later = created_at - old.created_at
    return replace(
        old,
        correlation_id=str(_new_id(letter)),
        created_at=created_at,
        expires_at=_put_off(old.expires_at, later),
        deadline=_put_off(old.deadline, later),
        attributes={**old.attributes, REPLAY_OF: old.correlation_id},
    )


def _put_off(moment: datetime | None, by: timedelta) -> datetime | None:
    try:
        return None if moment is None else moment + by
    except OverflowError:  # "never", as the last day that a calendar holds
        return moment


def _replay_as_new(letter: DeadLetter, target: str, new: JobRequest) -> Replay:
    encoding = detect(letter.record.value)
    fresh = request_headers(new, encoding)
    names = {name for name, _ in fresh}
    kept = [each for each in letter.own_headers if each[0] not in names]
    return Replay(
        letter,
        target,
        new.correlation_id.encode(),
        encode(new, encoding),
        [*fresh, *kept],
        new.correlation_id,
    )

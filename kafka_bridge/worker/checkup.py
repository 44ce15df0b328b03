"""The checks of ``kafka-bridge doctor`` that concern a worker's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kafka_bridge.findings import Finding, Level, error, ok, warning
from kafka_bridge.kafka.admin.acls import principal_of, worker_acls
from kafka_bridge.kafka.admin.checkup.sequence import UNKNOWN_GROUP, Needs, on_known_groups
from kafka_bridge.kafka.admin.topics import TopicNames, plan_topics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.environment import PREFIX, unused_variables
from kafka_bridge.worker.settings import VARIABLES, WorkerSettings, parsed


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What is known of a worker.

    :ivar settings: its settings; a group that only the program sets is :data:`UNKNOWN_GROUP`
    :ivar kafka: the properties that its program gives; None if they are the environment's
    :ivar callback_topic: of a gateway that is called back
    :ivar is_program: whether this is what a program set, and not only the environment
    """

    settings: WorkerSettings
    kafka: Mapping[str, Any] | None = None
    callback_topic: str | None = None
    is_program: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> WorkerFacts:
        """Return what the environment says; invalid variables are left out."""
        values = {"group_id": UNKNOWN_GROUP, **dict(_valid(environ))}
        return cls(WorkerSettings(**values))


def environment(facts: WorkerFacts, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the variables that are invalid or have no effect.

    :param environ: the process's variables
    """
    # A program may not need an invalid variable; if it does, it cannot make its worker.
    invalid = {} if facts.is_program else dict(_invalid(environ))
    advice = "Correct or remove the variable."
    valid = {name: text for name, text in environ.items() if name not in invalid}
    unused = unused_variables(facts.settings, facts.kafka, valid)
    found = [
        *(error(problem) for problem in invalid.values()),
        *(warning(text, "" if "did you mean" in text else advice) for text in unused),
    ]
    yield from found
    if not found:
        count = sum(name.startswith(PREFIX) and bool(text) for name, text in environ.items())
        yield ok(f"{count} variable{'' if count == 1 else 's'} of kafka-bridge, each has an effect")


def worker_needs(
    facts: WorkerFacts, config: KafkaConfig, longest_job: timedelta, longest_wait: timedelta
) -> Needs:
    """Return what a worker needs of Kafka.

    :raises ConfigurationError: a duration is not positive
    """
    settings = facts.settings
    names = TopicNames(
        settings.request_topic,
        settings.response_topic,
        settings.control_topic,
        settings.dead_letter_topic,
        facts.callback_topic,
    )
    group = settings.group_id
    acls = worker_acls(names, principal_of(config), group, config.reader_prefix)
    return Needs(
        plan_topics(names, longest_job=longest_job, longest_wait=longest_wait),
        on_known_groups(acls),
        names.requests,
        names.responses,
        Level.WARNING,  # this worker may not be started yet
    )


def _valid(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name in VARIABLES:
        value, problem = _look_at(name, environ)
        if value is not None and problem is None:
            yield name, value


def _invalid(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each invalid variable, and what is wrong with it."""
    for name, (variable, _) in VARIABLES.items():
        _, problem = _look_at(name, environ)
        if problem is not None:
            yield variable, problem


def _look_at(name: str, environ: Mapping[str, str]) -> tuple[Any, str | None]:
    """Return a setting's value (None if it is not set), and what is wrong with it."""
    variable = VARIABLES[name][0]
    text = environ.get(variable)
    if not text:
        return None, None
    try:
        value = parsed(variable, text)
        WorkerSettings(**{"group_id": UNKNOWN_GROUP, name: value})
    except ConfigurationError as failure:
        words = str(failure)
        return None, words if variable in words else f"{variable}: {words}"
    return value, None

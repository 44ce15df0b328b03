"""The checks of ``kafka-bridge doctor`` that concern a worker's settings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from kafka_bridge.findings import Finding, Level, error, ok, warning
from kafka_bridge.kafka.admin.acls import principal_of, worker_acls
from kafka_bridge.kafka.admin.checkup.sequence import UNKNOWN_GROUP, Needs, on_known_groups
from kafka_bridge.kafka.admin.topics import TopicNames, plan_topics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.environment import PREFIX, unused_variables
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.settings import VARIABLES, WorkerSettings, parsed
from kafka_bridge.worker.signatures import label


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What is known of a worker.

    :ivar settings: its settings; a group that only the program sets is :data:`UNKNOWN_GROUP`
    :ivar kafka: the properties that its program gives; None if they are the environment's
    :ivar callback_topic: of a gateway that is called back
    :ivar handlers: of its program
    :ivar is_program: whether this is what a program set, and not only the environment
    """

    settings: WorkerSettings
    kafka: Mapping[str, Any] | None = None
    callback_topic: str | None = None
    is_program: bool = False
    handlers: tuple[Handler, ...] = ()

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


def handlers_of(facts: WorkerFacts) -> Iterator[Finding]:
    """Yield each handler of a program, with its payload and its limits."""
    for each in sorted(facts.handlers, key=lambda handler: handler.job_type):
        yield ok(f"{each.job_type}: {_signature(each)}, {', '.join(_limits(each))}")
    if not facts.handlers:
        yield error("there is no handler: decorate a function with @worker.job(…)")


def _signature(handler: Handler) -> str:
    signature = str(inspect.signature(handler.function)).replace("'", "")
    return label(handler.function) + signature.replace(f"{JobContext.__module__}.", "")


def _limits(handler: Handler) -> Iterator[str]:
    if handler.in_process:
        yield "in a child process"
    else:
        yield "on the event loop" if handler.is_async else "on a thread"
    if handler.batching is not None:
        yield str(handler.batching)
    if handler.concurrency is not None:
        yield f"concurrency {handler.concurrency}"
    if handler.retry.retries:
        yield f"{handler.retry.retries} retries in the worker"
    if handler.time_limit is not None:
        yield f"time limit {handler.time_limit:g} s"


def settings_of(facts: WorkerFacts, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield each setting of a program that has a value, and what sets it.

    :param environ: the process's variables
    """
    defaults = {each.name: each.default for each in fields(WorkerSettings)}
    for name, (variable, _) in VARIABLES.items():
        value = getattr(facts.settings, name)
        if value is None:
            continue
        from_variable, _ = _look_at(name, environ)
        if value == from_variable:
            source = variable
        elif name == "worker_id":
            source = "the program, or new at each start"
        else:
            source = "default" if value == defaults[name] else "the program"
        yield ok(f"{name} = {value} ({source})")


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

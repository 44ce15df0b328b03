"""Tables of parameters and members, from signatures and docstrings."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from typing import Any

from kafka_bridge import airflow as bridge
from kafka_bridge import testing
from kafka_bridge.airflow.decorators import kafka_job_task
from kafka_bridge.airflow.settings import CONFIGURED, OPTIONS
from kafka_bridge.testing import fakes
from kafka_bridge.worker import ApplicationError, Backoff, Depends, JobContext, StopReason, Worker

from .tables import Table, Tables, code, plain

PARAMETERS = ("parameter", "type", "default", "meaning")
MEMBERS = ("member", "type", "meaning")
NAMES = ("name", "meaning")


def operators() -> Tables:
    """Return the tables of what a DAG file uses."""
    return {
        "KafkaJobOperator": parameters(bridge.KafkaJobOperator),
        "KafkaJobPublishOperator": parameters(bridge.KafkaJobPublishOperator),
        "KafkaJobSensor": parameters(bridge.KafkaJobSensor, bridge.KafkaJobOperator),
        "@task.kafka_job": parameters(kafka_job_task, bridge.KafkaJobOperator),
        "KafkaJobBatchOperator": parameters(bridge.KafkaJobBatchOperator),
    }


def triggers() -> Tables:
    """Return the tables of the triggers."""
    return {
        "KafkaJobTrigger": parameters(bridge.KafkaJobTrigger),
        "KafkaJobBatchTrigger": parameters(bridge.KafkaJobBatchTrigger),
    }


def worker() -> Tables:
    """Return the tables of the SDK."""
    return {
        "Worker": parameters(Worker),
        "Methods of Worker": members(Worker),
        "Worker.job": parameters(Worker.job),
        "Depends": parameters(Depends),
        "JobContext": members(JobContext),
        "Backoff": parameters(Backoff),
        "StopReason": Table(
            NAMES,
            [(code(each.name),) for each in StopReason],
            [(_comment(StopReason, each.name),) for each in StopReason],
        ),
        "ApplicationError": parameters(ApplicationError),
    }


def tests() -> Tables:
    """Return the tables of ``kafka_bridge.testing``."""
    brokers = [
        name
        for name in testing.__all__
        if isinstance(kind := getattr(testing, name), type) and issubclass(kind, testing.Broker)
    ]
    return {
        "run_job": parameters(testing.run_job),
        "run_batch": parameters(testing.run_batch),
        "JobOutcome": members(testing.JobOutcome),
        "Brokers": _named(testing, brokers),
        "Methods of every broker": members(testing.Broker),
        "Fakes": _named(fakes, fakes.__all__),
    }


def parameters(described: Any, *others: Any) -> Table:
    """Return the table of a function's parameters, or of a class's.

    :param others: where else the meanings of parameters are, for those that it does not describe
    """
    function = described.__init__ if isinstance(described, type) else described  # type: ignore[misc]
    found = _meanings([described, *others])
    own = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.name != "self"
        and (each.kind is not inspect.Parameter.VAR_KEYWORD or each.name in found)
    ]
    return Table(
        PARAMETERS,
        [(_name(each), _type(each.annotation), _default(each)) for each in own],
        [(found.get(each.name, ""),) for each in own],
    )


def members(kind: type) -> Table:
    """Return the table of a class's public properties and methods."""
    facts: list[tuple[str, ...]] = []
    texts = []
    for name, member in vars(kind).items():
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        signature = inspect.signature(function)
        call = "" if isinstance(member, property) else _call(signature)
        facts.append((f"`{name}{call}`", _type(signature.return_annotation)))
        texts.append((_first_paragraph(member.__doc__),))
    return Table(MEMBERS, facts, texts)


def _named(module: Any, names: list[str]) -> Table:
    return Table(
        NAMES,
        [(code(name),) for name in names],
        [(_first_paragraph(getattr(module, name).__doc__),) for name in names],
    )


def _name(parameter: inspect.Parameter) -> str:
    is_rest = parameter.kind is inspect.Parameter.VAR_KEYWORD
    return f"`{'**' if is_rest else ''}{parameter.name}`"


def _call(signature: inspect.Signature) -> str:
    """Return what a caller writes: ``(completed, *, total=None)``."""
    own = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name not in {"self", "cls"}
    ]
    return re.sub(r"<function .*? at 0x\w+>", "…", str(inspect.Signature(own)))


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    parts = [part for part in re.split(r" \| (?![^\[]*\])", text) if part != "Setting"]
    return code(" | ".join(parts))


def _default(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return "" if parameter.kind is inspect.Parameter.VAR_KEYWORD else "required"
    if default is CONFIGURED:
        option = OPTIONS[parameter.name].default
        return f"`[kafka_bridge]`: {f'`{option}`' if option else 'empty'}"
    return f"`{(default.value if isinstance(default, enum.Enum) else default)!r}`"


def _meanings(described: list[Any]) -> dict[str, str]:
    """Return the meanings of parameters, by name, from docstrings; the first one counts."""
    found: dict[str, str] = {}
    for each in described:
        for kind in each.__mro__ if isinstance(each, type) else [each]:
            if kind.__module__.startswith("kafka_bridge"):
                found = {**dict(_fields(kind.__doc__ or "")), **found}
    return found


def _fields(docstring: str) -> Iterator[tuple[str, str]]:
    field = r"^:param (\w+): (.*?)(?=^:|\n\n|\Z)"
    for name, text in re.findall(field, inspect.cleandoc(docstring), re.M | re.S):
        yield name, plain(text)


def _first_paragraph(docstring: str | None) -> str:
    return plain(inspect.cleandoc(docstring or "").split("\n\n")[0])


def _comment(kind: type, name: str) -> str:
    """Return the text below a member of an enumeration."""
    text = re.search(rf'^    {name} = .*?\n    """(.*?)"""', inspect.getsource(kind), re.M | re.S)
    return plain(text[1]) if text else ""

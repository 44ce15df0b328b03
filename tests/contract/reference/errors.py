"""Tables of errors: what a task raises, what the bridge raises elsewhere, and error types."""

from __future__ import annotations

import inspect
from types import ModuleType

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from kafka_bridge import airflow as bridge
from kafka_bridge import testing, worker
from kafka_bridge.protocol import errors as protocol_errors
from kafka_bridge.protocol.messages import ErrorType

from .tables import Table, Tables, code, plain

WRITTEN = ("raised when", "what helps")


def errors() -> Tables:
    """Return the tables of the page."""
    in_tasks = _exported(bridge)
    in_handlers = [
        kind for kind in _exported(worker) if not issubclass(kind, protocol_errors.KafkaBridgeError)
    ]
    others = [kind for kind in _defined(protocol_errors) if kind not in in_tasks]
    return {
        "Errors of a task": _table(
            ("error", "Airflow retries"),
            [(code(each.__name__), _retries(each)) for each in in_tasks],
            in_tasks,
        ),
        "Errors in a worker": _table(
            ("error",), [(code(each.__name__),) for each in in_handlers], in_handlers
        ),
        "Errors of Kafka and of the protocol": _table(
            ("error", "is a"), [(code(each.__name__), _bases(each)) for each in others], others
        ),
        "Errors of test brokers": _table(
            ("error",), [(code(each.__name__),) for each in _exported(testing)], _exported(testing)
        ),
        "Types of failed jobs": Table(
            ("type", *WRITTEN), [(code(each),) for each in ErrorType], [("", "")] * len(ErrorType)
        ),
    }


def _table(
    columns: tuple[str, ...], facts: list[tuple[str, ...]], kinds: list[type[BaseException]]
) -> Table:
    texts = [(plain(inspect.cleandoc(each.__doc__ or "").split("\n\n")[0]), "") for each in kinds]
    return Table((*columns, *WRITTEN), facts, texts)


def _exported(module: ModuleType) -> list[type[BaseException]]:
    found = [getattr(module, name) for name in module.__all__]
    return [each for each in found if isinstance(each, type) and issubclass(each, BaseException)]


def _defined(module: ModuleType) -> list[type[BaseException]]:
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, BaseException)
        and each.__module__ == module.__name__
    ]


def _retries(kind: type[BaseException]) -> str:
    if issubclass(kind, AirflowFailException):
        return "no"
    return "yes" if issubclass(kind, AirflowException) else "as any error"


def _bases(kind: type[BaseException]) -> str:
    return code(kind.__mro__[1].__name__)

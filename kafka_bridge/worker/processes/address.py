"""Where child processes find the worker: a module, and the worker's name in it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.handlers import Handler


@dataclass(frozen=True, slots=True)
class WorkerAddress:
    """The module of a worker, and its name there, as in ``my_service:worker``."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"


def address_of(worker: object, handlers: Iterable[Handler]) -> WorkerAddress:
    """Search the modules of a worker's handlers, and the program itself, for the worker.

    :raises ConfigurationError: it is in none of them, or the program is not a file
    """
    modules = list(_modules(handlers))
    for module in modules:
        for name, value in vars(module).items():
            if value is worker:
                return _checked(WorkerAddress(module.__name__, name))
    searched = ", ".join(each.__name__ for each in modules)
    raise ConfigurationError(
        "handlers with process=True run in child processes, which import the program and look for "
        f"the worker there, but it is not a global variable of {searched}. Make it one, or run it "
        "with: kafka-bridge worker run MODULE:WORKER"
    )


def _modules(handlers: Iterable[Handler]) -> Iterator[ModuleType]:
    names = [inspect.unwrap(each.function).__module__ for each in handlers if _has_module(each)]
    for name in dict.fromkeys([*names, "__main__"]):
        if (module := sys.modules.get(name)) is not None:
            yield module


def _has_module(handler: Handler) -> bool:
    return isinstance(getattr(handler.function, "__module__", None), str)


def _checked(address: WorkerAddress) -> WorkerAddress:
    main: Any = sys.modules["__main__"]
    is_file = getattr(main, "__spec__", None) or getattr(main, "__file__", None)
    if address.module == "__main__" and not is_file:
        raise ConfigurationError(
            "handlers with process=True run in child processes, which import the program: write it "
            "into a file; this one was typed in, or given with -c"
        )
    return address

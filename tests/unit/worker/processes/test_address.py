"""Where child processes find a worker."""

from __future__ import annotations

import sys

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import Worker
from kafka_bridge.worker.processes.address import WorkerAddress, address_of

from . import twins

elsewhere = Worker("g")
elsewhere.job("a.job")(twins.nothing)


def test_worker_is_found_in_the_module_of_a_handler() -> None:
    """Under the name that it has there."""
    found = address_of(twins.worker, twins.worker.handlers.values())
    assert found == WorkerAddress(twins.__name__, "worker")
    assert str(found) == f"{twins.__name__}:worker"


def test_worker_is_found_in_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that imports its handlers."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "elsewhere", elsewhere, raising=False)
    monkeypatch.setattr(main, "__file__", "program.py", raising=False)  # xdist's has none
    assert address_of(elsewhere, elsewhere.handlers.values()) == WorkerAddress(
        "__main__", "elsewhere"
    )


def test_worker_that_no_module_has_is_refused_with_advice() -> None:
    """A local variable cannot be imported."""
    with pytest.raises(ConfigurationError, match=r"not a global variable of .*twins, __main__"):
        address_of(elsewhere, elsewhere.handlers.values())


def test_program_that_is_not_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing that a child could import."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "elsewhere", elsewhere, raising=False)
    monkeypatch.setattr(main, "__spec__", None, raising=False)
    monkeypatch.delattr(main, "__file__", raising=False)
    with pytest.raises(ConfigurationError, match="this one was typed in, or given with -c"):
        address_of(elsewhere, elsewhere.handlers.values())

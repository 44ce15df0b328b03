"""A run of a worker: it enters the lifespan when a broker has answered, and exits it at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import BrokerUnreachable, TopicNotFound
from kafka_bridge.worker.runtime import run as module
from kafka_bridge.worker.runtime.run import WorkerRun, WorkerSpec
from kafka_bridge.worker.settings import WorkerSettings

Enter = Callable[[int], None]


class Run:
    """A run with a fake service. ``enter`` is called with the number of each entry, from 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.enter: Enter = lambda _: None
        self._entries = 0
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
        monkeypatch.setattr(module, "wait_for_brokers", self._wait)
        monkeypatch.setattr(module, "permissions_check", lambda *_: contextlib.nullcontext())
        monkeypatch.setattr(module, "Service", self._service)

    def __call__(self) -> None:
        """Run the worker until its service has returned."""
        spec = WorkerSpec(
            WorkerSettings("a-group"),
            {},
            KafkaConfig({"bootstrap.servers": "kafka:9092"}),
            "a test",
            lifespan=self._lifespan,
        )
        WorkerRun(spec, lambda: None, threading.Event()).run()

    def _wait(self, *_: Any) -> None:
        self.log.append("a broker answered")

    def _service(self, *_: Any, **__: Any) -> Any:
        log = self.log

        class FakeService:
            has_joined = False

            def run(self, _observer: Any) -> None:
                log.append("service")

        return FakeService()

    @contextlib.contextmanager
    def _lifespan(self, _: object) -> Iterator[None]:
        self._entries += 1
        self.enter(self._entries)
        self.log.append("entered")
        yield
        self.log.append("exited")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a run."""
    return Run(monkeypatch)


def test_lifespan_encloses_the_service_and_begins_when_a_broker_has_answered(run: Run) -> None:
    """What it opens can use the brokers, and is there for all jobs."""
    run()
    assert run.log == ["a broker answered", "entered", "service", "exited"]


def test_lifespan_is_entered_again_if_the_brokers_become_silent_meanwhile(run: Run) -> None:
    """A silence after the first answer does not end the start either."""

    def silent_once(number: int) -> None:
        if number == 1:
            raise BrokerUnreachable("silence")

    run.enter = silent_once
    run()
    assert run.log == ["a broker answered", "entered", "service", "exited"]


def test_lifespan_that_cannot_begin_ends_the_start(run: Run) -> None:
    """Waiting would not help: no job is consumed."""

    def missing(_: int) -> None:
        raise TopicNotFound("no such topic")

    run.enter = missing
    with pytest.raises(TopicNotFound, match="no such topic"):
        run()
    assert run.log == ["a broker answered"]

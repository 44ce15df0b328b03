"""A worker's start: what other threads may ask of it before it is complete."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.testing import FakeClock
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import service as service_module
from kafka_bridge.worker.runtime.service import Service
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.settings import WorkerSettings

from ..samples import NO_LOOP


def make_service() -> Service:
    """Return a service that was not run yet."""
    return Service(
        WorkerSettings("g", worker_id="w-1"),
        {},
        KafkaConfig({"bootstrap.servers": "nobody"}),
        on_ready=lambda: None,
        stopping=threading.Event(),
        surroundings=Surroundings(NO_LOOP),
    )


def test_cancel_that_is_read_during_the_start_is_obeyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control topic is read at once; a CANCEL in it must not end the thread that reads it."""

    def read_at_once(_config: object, _topic: str, heard: Any, **_: object) -> None:
        heard("a-job")

    monkeypatch.setattr(service_module, "ControlReader", read_at_once)
    service = make_service()
    service._control_reader(Observer())
    cancelled: list[str] = []
    service._scheduler = SimpleNamespace(cancel=cancelled.append)  # type: ignore[assignment]
    service._mailbox.run_pending()
    assert cancelled == ["a-job"]


@pytest.mark.parametrize(("may_publish", "waits"), [(True, True), (False, False)])
def test_revoke_waits_only_for_jobs_that_may_publish(
    monkeypatch: pytest.MonkeyPatch, may_publish: bool, waits: bool
) -> None:
    """A worker in doubt of its membership can neither end a job nor release it."""
    clock = FakeClock()
    monkeypatch.setattr(service_module, "time", clock)
    service = make_service()
    service._mailbox.wait = clock.sleep  # type: ignore[method-assign]
    job = SimpleNamespace(may_publish=lambda: may_publish)
    forgotten: list[list[int]] = []
    assignment = SimpleNamespace(
        partitions={3: "the partition"},
        jobs_of=lambda _: [job],
        release=lambda *_: None,
        release_unstarted=lambda *_: None,
        positions=lambda _: {},
        forget=forgotten.append,
    )
    nothing = SimpleNamespace(leave_reports=lambda: None, about_to_poll=lambda: None)
    loose: Any = service
    loose._membership, loose._producer = nothing, nothing
    loose._consumer = SimpleNamespace(commit=lambda *_, **__: None)
    loose._scheduler = SimpleNamespace(
        assignment=assignment,
        intake=SimpleNamespace(forget=lambda _: None),
        run_pending=lambda: None,
    )
    service._revoked([3])
    grace = service_module.REVOKE_GRACE_SECONDS + service_module.RELEASE_SECONDS
    assert sum(clock.slept) == pytest.approx(grace if waits else 0.0, abs=0.3)
    assert forgotten == [[3]]

"""A worker's start: what other threads may ask of it before it is complete."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.worker import service as service_module
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.service import Service


def test_cancel_that_is_read_before_there_is_a_scheduler_is_obeyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control topic is read at once; a CANCEL in it must not end the thread that reads it."""

    def read_at_once(_config: object, _topic: str, heard: Any, **_: object) -> None:
        heard("a-job")

    monkeypatch.setattr(service_module, "ControlReader", read_at_once)
    worker: Any = SimpleNamespace(control_topic="control")
    service = Service(worker, lambda: None, threading.Event())
    service._control_reader(KafkaConfig({"bootstrap.servers": "nobody"}), Observer())
    cancelled: list[str] = []
    service._scheduler = SimpleNamespace(cancel=cancelled.append)  # type: ignore[assignment]
    service._posts.work_off()
    assert cancelled == ["a-job"]

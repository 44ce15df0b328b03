"""A response reader whose topic is scripted: what happens between two steps of its thread."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.health import ReaderHealth
from kafka_bridge.kafka.responses import catch_up
from kafka_bridge.kafka.responses import reader as reader_module
from kafka_bridge.kafka.responses.dispatcher import Dispatcher
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Delivery, Subscription

if TYPE_CHECKING:
    from conftest import Eventually


class EmptyTopic:
    """Stands in for the consumer of a topic with one partition and no record."""

    def __init__(self, *_: object) -> None:
        self.positions: dict[int, int] = {}
        self.health = ReaderHealth(connected=True, held_back=False, lag=0)
        self.has_new_statistics = False
        self.ends = {0: 120}

    def partitions(self) -> range:
        """Return the one."""
        return range(1)

    def assign(self, starts: dict[int, int]) -> None:
        """Read from there."""
        self.positions = dict(starts)
        self.has_new_statistics = True

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Any] = {"bounds": {0: (0, 0)}, "poll": [], "refused_positions": []}
        return lambda *_: answers.get(name)


class HeldReader(ResponseReader):
    """A reader whose thread starts to read when the first jobs have joined.

    Without that, a reader with so short a linger could close before they join.
    """

    def __init__(self) -> None:
        self.have_joined = threading.Event()
        super().__init__(KafkaConfig({"bootstrap.servers": "nobody"}), "t", print, linger=0.05)

    def join(self, subscriptions: Sequence[Subscription]) -> None:
        """Wait as any job does, and let the thread read."""
        super().join(subscriptions)
        self.have_joined.set()

    def _read_until_idle(self) -> None:
        self.have_joined.wait()
        super()._read_until_idle()


def subscription(job: bytes, offset: int = 0) -> Subscription:
    """Return a job that waits from an offset on."""
    return Subscription(job, array("q", [offset]), lambda _: None)


@pytest.mark.parametrize("joins_before", [True, False])
def test_job_that_leaves_while_others_are_admitted_is_not_served(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually, joins_before: bool
) -> None:
    """Cancelled right after it began to wait, it leaves nothing behind: the reader closes."""
    monkeypatch.setattr(reader_module, "TopicConsumer", EmptyTopic)
    reader = HeldReader()
    stays, passes = subscription(b"stays"), subscription(b"passes")
    admit = Dispatcher.admit

    def passes_by(
        dispatcher: Dispatcher, jobs: Sequence[Subscription]
    ) -> tuple[Delivery, list[Subscription]]:
        if stays in jobs:
            if not joins_before:
                reader.join([passes])
            reader.unsubscribe(passes)
        return admit(dispatcher, jobs)

    monkeypatch.setattr(Dispatcher, "admit", passes_by)
    reader.join([stays, passes] if joins_before else [stays])
    eventually(lambda: reader.served == 1, "the job that stays is served")
    reader.unsubscribe(stays)
    eventually(lambda: not reader.is_open, "the reader closes")
    assert (reader.waiting, reader.served) == (0, 0)


def test_job_behind_the_end_that_opens_the_reader_with_others_is_served(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """A triggerer starts again after its response topic was recreated, with many jobs at once."""
    monkeypatch.setattr(reader_module, "TopicConsumer", EmptyTopic)
    monkeypatch.setattr(reader_module, "offsets_since", lambda *_, **__: [100])
    monkeypatch.setattr(catch_up, "END_KNOWN_SECONDS", 0.0)
    reader = HeldReader()
    within, behind = subscription(b"within", 110), subscription(b"behind", 500)
    reader.join([within, behind])
    eventually(lambda: behind.position(0) == 100, "it hears what the topic has now")
    assert (within.position(0), dict(reader.positions)) == (110, {0: 100})
    reader.close()

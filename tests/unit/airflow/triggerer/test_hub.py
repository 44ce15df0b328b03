"""A hub with a reader that is only a stub: what it follows, reports and passes on."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from kafka_bridge.airflow.triggerer import hub as hub_module
from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.subscriptions import Subscription
from kafka_bridge.protocol.errors import ReaderClosed


@dataclass
class Reader:
    """A reader that keeps its subscriptions, and is live when a test says so."""

    is_open: bool = True
    health: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(is_live=False))
    subscriptions: list[Subscription] = field(default_factory=list)

    def join(self, subscriptions: Sequence[Subscription]) -> None:
        """Keep subscriptions, unless closed."""
        if not self.is_open:
            raise ReaderClosed("closed")
        self.subscriptions += subscriptions

    def unsubscribe(self, subscription: Subscription) -> None:
        """Drop a subscription."""
        self.subscriptions.remove(subscription)

    def close(self) -> None:
        """Be closed."""
        self.is_open = False


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Give the reader of the hub, which checks it all the time."""
    made = Reader()
    monkeypatch.setattr(hub_module, "ResponseReader", lambda *_, **__: made)
    monkeypatch.setattr(hub_module, "CHECK_SECONDS", 0.01)
    return made


def hub_of(metrics: Mock) -> ResponseHub:
    """Return a hub of that reader."""
    return ResponseHub(KafkaConfig({"bootstrap.servers": "x:9"}), "responses", metrics)


def subscription(job: str) -> Subscription:
    """Return a subscription to a job's records."""
    return Subscription(job.encode(), array("q"), lambda _: None)


async def until(reports: Mock, count: int) -> None:
    """Wait until the hub has checked its reader some more times."""
    wanted = reports.call_count + count
    async with asyncio.timeout(30):
        while reports.call_count < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_failure_to_report_metrics_does_not_stop_the_timeouts(reader: Reader) -> None:
    """Otherwise the reader would never count as live, and no job would ever time out."""
    has_failed, is_live = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: has_failed.set())

    def report(_: object) -> None:
        if hub.live_since != math.inf:
            is_live.set()
        raise RuntimeError("statsd")

    hub = hub_of(Mock(report=report))
    async with asyncio.timeout(30):
        await has_failed.wait()
        assert not is_live.is_set()
        reader.health.is_live = True
        await is_live.wait()
    hub.close()


async def test_live_since_begins_again_after_each_interruption(reader: Reader) -> None:
    """While the reader is not live, it is infinite: a missing event proves nothing then."""
    metrics = Mock()
    hub = hub_of(metrics)
    assert hub.live_since == math.inf
    reader.health.is_live = True
    await until(metrics.report, 2)
    first = hub.live_since
    await until(metrics.report, 2)
    assert hub.live_since == first
    reader.health.is_live = False
    await until(metrics.report, 2)
    assert hub.live_since == math.inf
    reader.health.is_live = True
    await until(metrics.report, 2)
    assert first < hub.live_since < math.inf
    hub.close()


async def test_hub_stops_checking_a_closed_reader(reader: Reader) -> None:
    """A hub lives as long as its reader: nothing keeps a closed one in the event loop."""
    metrics = Mock()
    hub = hub_of(metrics)
    hub.close()
    await until(metrics.report, 1)
    await asyncio.sleep(0.05)
    assert metrics.report.call_count == 1


async def test_hub_knows_which_jobs_have_a_waiter(reader: Reader) -> None:
    """From when they are added until they are removed."""
    hub, jobs = hub_of(Mock()), [subscription("a"), subscription("b")]
    hub.add(jobs)
    assert reader.subscriptions == jobs
    assert hub.waits_for_any([b"x", b"b"])
    hub.remove(jobs)
    assert reader.subscriptions == []
    assert not hub.waits_for_any([b"a", b"b"])
    hub.close()


async def test_hub_with_a_closed_reader_takes_no_jobs(reader: Reader) -> None:
    """It raises, and does not count the jobs as waited for."""
    hub = hub_of(Mock())
    hub.close()
    with pytest.raises(ReaderClosed):
        hub.add([subscription("a")])
    assert not hub.waits_for_any([b"a"])

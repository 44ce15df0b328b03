"""The kit passes workers that follow the protocol."""

from __future__ import annotations

import pytest

from integration.conformance.faults import NEEDS_APACHE
from integration.conformance.kit_runs import BARE, SDK, TESTS, failed, run
from kafka_bridge.conformance.kit import OwnBroker
from kafka_bridge.conformance.probe import ENCODINGS
from kafka_bridge.conformance.results import Verdict
from kafka_bridge.protocol.encodings import Encoding

EVERYDAY = (
    "L1-DATA-GOLDEN",
    "L1-POISON-HEADERS",
    "L1-REPLY-TRACE",
    "L2-HEARTBEAT",
    "L3-FINISHED",
    "L3-DELIVERY-LIMIT",
    "L3-CHECKPOINT",
    "L3-CANCEL-QUEUED",
    "L3-KILL-REDELIVERY",
)


@pytest.fixture(autouse=True)
def _programs_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("FAULT", raising=False)


def test_sdk_passes_everyday_probes() -> None:
    """The Python SDK keeps some rules of each level, in Avro."""
    results = run(SDK, EVERYDAY)
    assert failed(results) == {}
    assert {each.verdict for each in results} == {Verdict.OK}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", [SDK, BARE], ids=["sdk", "bare"])
def test_right_workers_reach_level_3(command: str, encoding: Encoding) -> None:
    """The Python SDK and the worker on the bare wire keep every rule."""
    results = run(command, encodings=(encoding,))
    assert failed(results) == {}
    skipped = {each.probe.id for each in results if each.verdict is Verdict.SKIPPED}
    assert skipped == NEEDS_APACHE


@pytest.mark.long
@pytest.mark.usefixtures("kafka_jars")
@pytest.mark.parametrize("command", [SDK, BARE], ids=["sdk", "bare"])
def test_right_workers_keep_the_rules_that_need_a_real_broker(command: str) -> None:
    """With Apache Kafka, the kit aborts transactions, and kills and restarts the broker."""
    results = run(command, sorted(NEEDS_APACHE), broker=OwnBroker.APACHE)
    assert failed(results) == {}
    assert {each.verdict for each in results} == {Verdict.OK}

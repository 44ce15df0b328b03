"""Which broker the tests run on, and the error if there is none."""

from __future__ import annotations

from typing import Self

import pytest

from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.testing import (
    BrokerStartFailed,
    BrokerUnavailable,
    ExternalBroker,
    NoBrokerFound,
    find_broker,
)
from kafka_bridge.testing.brokers import external, find, topics

VARIABLE = external.VARIABLE


class FakeBroker(ExternalBroker):
    """Starts, or fails to start, as scripted."""

    def __init__(self, kind: str, refusal: Exception | None = None) -> None:
        super().__init__(f"{kind}:9092")
        self._refusal = refusal

    def start(self) -> Self:
        """Fail if scripted."""
        if self._refusal is not None:
            raise self._refusal
        return self


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception | None]:
    """Set, by kind of broker, why it cannot be started; None if it can."""
    has: dict[str, Exception | None] = {"compose": None, "apache": None}
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(find, "ComposeKafka", lambda: FakeBroker("compose", has["compose"]))
    monkeypatch.setattr(find, "ApacheKafka", lambda: FakeBroker("apache", has["apache"]))
    return has


def test_configured_address_comes_first(
    machine: dict[str, Exception | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used even if Docker and a JDK are installed."""
    monkeypatch.setenv(VARIABLE, "127.0.0.1:1234")
    monkeypatch.setattr(topics, "cluster_id", lambda *_: "a-cluster")
    assert find_broker().bootstrap_servers == "127.0.0.1:1234"


def test_docker_comes_before_the_jdk(machine: dict[str, Exception | None]) -> None:
    """Without an address, Compose is used if it is available."""
    assert find_broker().bootstrap_servers == "compose:9092"


@pytest.mark.parametrize("refusal", [BrokerUnavailable("no engine"), BrokerStartFailed("crashed")])
def test_jdk_is_used_without_docker(
    machine: dict[str, Exception | None], refusal: Exception
) -> None:
    """Also if Docker fails to start the broker."""
    machine["compose"] = refusal
    assert find_broker().bootstrap_servers == "apache:9092"


def test_error_lists_the_tried_brokers_in_order(machine: dict[str, Exception | None]) -> None:
    """It says what to install or to set."""
    machine["compose"] = BrokerUnavailable("no 'docker' on PATH")
    machine["apache"] = BrokerUnavailable("no JDK 17+ ('java') on PATH")
    with pytest.raises(NoBrokerFound) as caught:
        find_broker()
    assert caught.value.reasons == [
        (VARIABLE, f"{VARIABLE} is not set"),
        ("docker compose", "no 'docker' on PATH"),
        ("Apache Kafka on a JDK", "no JDK 17+ ('java') on PATH"),
    ]
    text = str(caught.value)
    positions = [text.index(f"{kind}: {reason}") for kind, reason in caught.value.reasons]
    assert positions == sorted(positions)
    assert isinstance(caught.value, KafkaBridgeError)


def test_address_that_does_not_answer_ends_the_search(
    machine: dict[str, Exception | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests never use another broker than the configured one."""
    monkeypatch.setenv(VARIABLE, "127.0.0.1:9")
    monkeypatch.setattr(external, "ANSWER_TIMEOUT", 0.2)
    with pytest.raises(NoBrokerFound, match=r"no Kafka answered at 127\.0\.0\.1:9") as caught:
        find_broker()
    assert [kind for kind, _ in caught.value.reasons] == [VARIABLE]


def test_programming_error_is_raised(machine: dict[str, Exception | None]) -> None:
    """Only broker errors mean "not available"."""
    machine["compose"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        find_broker()

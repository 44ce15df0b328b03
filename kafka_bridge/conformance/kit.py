"""One run of the kit: the broker, the probes that were selected, and the level reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from kafka_bridge.conformance import probes as _every_probe  # noqa: F401  registers them
from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.probe import Probe, probes
from kafka_bridge.conformance.results import Result, level_reached
from kafka_bridge.conformance.sequence import Run, Target
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing.brokers.apache import ApacheKafka
from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.embedded import EmbeddedBroker


class OwnBroker(StrEnum):
    """The broker that the kit starts."""

    EMBEDDED = "embedded"
    APACHE = "apache"


@contextmanager
def own_broker(kind: OwnBroker) -> Iterator[tuple[KafkaConfig, Broker]]:
    """Give a broker of the kit's own, and how to reach it.

    :raises BrokerError: it cannot be started
    """
    broker: Broker = EmbeddedBroker() if kind is OwnBroker.EMBEDDED else ApacheKafka()
    with broker:
        yield KafkaConfig({"bootstrap.servers": broker.bootstrap_servers}), broker


def selected(level: int, names: Sequence[str]) -> list[Probe]:
    """Return the probes up to a level; of these, those with the given ids if there are any.

    :raises ConfigurationError: there is no such probe
    """
    known = probes()
    if unknown := [each for each in names if each not in known]:
        raise ConfigurationError(
            f"there is no probe {', '.join(unknown)}: `kafka-bridge conformance --list` shows all"
        )
    chosen = [known[each] for each in names or known]
    by_level = sorted(chosen, key=lambda each: each.level)
    return [each for each in by_level if each.level <= level]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run tests.

    :ivar level: the highest level that is tested
    :ivar names: the ids of the probes; none: all of the level
    """

    level: int
    encodings: tuple[Encoding, ...]
    names: tuple[str, ...] = ()

    def results(
        self, target: Target, config: KafkaConfig, broker: Broker | None, patience: Patience
    ) -> Iterator[Result]:
        """Run the probes, and yield what came of each, as it comes.

        :raises ConfigurationError: there is no such probe
        :raises WorkerSilent: the worker published nothing
        :raises KafkaError: the kit cannot use Kafka
        """
        run = Run(target, config, broker, patience)
        chosen = selected(self.level, self.names)
        for encoding in self.encodings:
            yield from run.results(chosen, encoding)

    def levels(self, results: Sequence[Result]) -> Mapping[Encoding, int]:
        """Return by encoding the level that was reached."""
        return {
            encoding: level_reached(
                (each for each in results if each.encoding is encoding), self.level
            )
            for encoding in self.encodings
        }

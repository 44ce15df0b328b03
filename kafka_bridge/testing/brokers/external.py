"""A broker that already runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Self

from kafka_bridge.testing.brokers import topics
from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.errors import BrokerStartFailed, BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "KAFKA_BRIDGE_TEST_BOOTSTRAP"

ANSWER_TIMEOUT = 10.0
"""Seconds for the broker to answer."""


class ExternalBroker(Broker):
    """A broker that is not started or stopped here; topics that were created can be deleted."""

    kind: ClassVar[str] = "external"

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> ExternalBroker:
        """Read the address from KAFKA_BRIDGE_TEST_BOOTSTRAP; raise BrokerUnavailable if unset.

        `environ` is the process's own by default.
        """
        environ = os.environ if environ is None else environ
        address = environ.get(VARIABLE, "").strip()
        if not address:
            raise BrokerUnavailable(f"{VARIABLE} is not set")
        return cls(address)

    @property
    def bootstrap_servers(self) -> str:
        """The configured address."""
        return self._bootstrap_servers

    def start(self) -> Self:
        """Check that the broker answers; raises BrokerStartFailed if it does not."""
        admin = topics.admin_client(self._bootstrap_servers)
        if topics.cluster_id(admin, ANSWER_TIMEOUT) is None:
            raise BrokerStartFailed(
                f"no Kafka answered at {self._bootstrap_servers} within {ANSWER_TIMEOUT:.0f} s"
            )
        return self

    def close(self) -> None:
        """Leave the broker alone: it was not started here."""

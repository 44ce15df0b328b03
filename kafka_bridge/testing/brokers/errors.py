"""The errors of test brokers.

::

    BrokerError                 (a KafkaBridgeError)
    ├── BrokerUnavailable       this machine lacks what that kind of broker needs
    │   └── NoBrokerFound       and so for every kind that was tried
    ├── BrokerStartFailed       it was started and did not come up
    └── TopicExists
"""

from __future__ import annotations

from kafka_bridge.protocol.errors import KafkaBridgeError


class BrokerError(KafkaBridgeError):
    """An operation of a test broker failed."""


class BrokerUnavailable(BrokerError):
    """This kind of broker needs something that this machine lacks; the message names it."""


class NoBrokerFound(BrokerUnavailable):
    """No kind of broker is available; the message lists each kind and the reason.

    `reasons` holds the same as (kind, reason) pairs, in the order tried.
    """

    def __init__(self, reasons: list[tuple[str, str]]) -> None:
        self.reasons = reasons
        lines = [f"  {kind}: {reason}" for kind, reason in reasons]
        super().__init__("\n".join(["no Kafka broker was found. Tried, in this order:", *lines]))


class BrokerStartFailed(BrokerError):
    """The broker was started but did not become ready; the message ends with its last lines."""


class TopicExists(BrokerError):
    """The topic to create exists already."""

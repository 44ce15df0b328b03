"""What can go wrong with a test broker.

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
    """A test broker cannot do what it was asked."""


class BrokerUnavailable(BrokerError):
    """Something that this kind of broker needs is not on this machine; the text names it."""


class NoBrokerFound(BrokerUnavailable):
    """No kind of broker is available; the text lists each one tried, and why it was not.

    `reasons` holds the same as (kind, reason) pairs, in the order tried.
    """

    def __init__(self, reasons: list[tuple[str, str]]) -> None:
        self.reasons = reasons
        lines = [f"  {kind}: {reason}" for kind, reason in reasons]
        super().__init__("\n".join(["no Kafka broker was found. Tried, in this order:", *lines]))


class BrokerStartFailed(BrokerError):
    """The broker was started but never became ready; the text ends with what it said last."""


class TopicExists(BrokerError):
    """The topic to create is there already."""

"""How a probe says that a rule was broken, or that it cannot be tested."""

from __future__ import annotations

from kafka_bridge.kafka.records import Record


class Unmet(Exception):
    """The worker did not do what a rule demands.

    :ivar expected: what should have come, in words
    :ivar came: what came instead
    :ivar record: the record that shows it, if there is one
    """

    def __init__(self, expected: str, came: str, record: Record | None = None) -> None:
        self.expected = expected
        self.came = came
        self.record = record
        super().__init__(f"expected {expected}; {came}")


class NotTested(Exception):
    """The rule cannot be tested here; the text says why."""


def expect(is_met: object, expected: str, came: str, record: Record | None = None) -> None:
    """Raise :class:`Unmet` unless a condition is met."""
    if not is_met:
        raise Unmet(expected, came, record)

"""Which response topics this worker may use, as far as it has seen.

A right can be missing for a moment: ACLs are replaced, a principal is renewed. Whoever may write to
the request topic can also name a response topic that was never this service's. The first must not
cost work that is done; the second must not hold up the worker. What tells them apart is whether the
topic could be used before.
"""

from __future__ import annotations

from collections.abc import Iterable


class TopicAccess:
    """Knows the topics whose refusal is taken for a passing one. Safe to share between threads.

    :param topics: those that are this service's by its settings
    """

    def __init__(self, topics: Iterable[str] = ()) -> None:
        self._usable = set(topics)

    def used(self, topic: str) -> None:
        """Note that the brokers let this worker use a topic."""
        self._usable.add(topic)

    def may_come_back(self, topic: str) -> bool:
        """Tell whether to wait for a right that is missing on this topic."""
        return topic in self._usable

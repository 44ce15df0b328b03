"""The response topics that this worker is known to be allowed to use.

A permission can be missing for a moment: ACLs are replaced, a principal is renewed. And a sender of
requests can name a response topic that was never this service's. The first case must not cost
finished work, and the second one must not block the worker. The difference is whether the worker
could use the topic before.
"""

from __future__ import annotations

from collections.abc import Iterable


class TopicAccess:
    """Knows the topics whose missing permission is waited for. Safe to share between threads.

    :param topics: the topics in this service's settings
    """

    def __init__(self, topics: Iterable[str] = ()) -> None:
        self._usable = set(topics)

    def used(self, topic: str) -> None:
        """Note that the brokers allowed this worker to use a topic."""
        self._usable.add(topic)

    def may_come_back(self, topic: str) -> bool:
        """Tell whether to wait for a missing permission on this topic."""
        return topic in self._usable

"""Whether a worker may publish events: after a freeze, its group has to confirm it first.

While a process is stopped (SIGSTOP, a suspended machine, a long page-in), its group may assign its
partitions to other workers. It cannot know that, and its events might contradict the new owner's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

DOUBT_SHARE = 0.5
"""The share of the session after which membership is in doubt. The group counts from the last
heartbeat, which is older than the last poll, so it may remove a member earlier than this side
expects."""


class Membership:
    """Knows whether the consumer is certainly a member of its group.

    The polling thread sets it; every thread that publishes an event reads it.

    :param session_timeout: seconds without a heartbeat after which the group removes a member
    :ivar doubts: how often membership was in doubt
    """

    def __init__(self, session_timeout: float) -> None:
        self._sure_for = session_timeout * DOUBT_SHARE
        self._polled_at = time.monotonic()
        self.in_doubt = False
        self.doubts = 0

    @property
    def seconds_since_poll(self) -> float:
        """How long ago the consumer polled."""
        return time.monotonic() - self._polled_at

    def may_publish(self) -> bool:
        """Tell whether events may be published now."""
        return not self.in_doubt and self.seconds_since_poll <= self._sure_for

    def about_to_poll(self) -> None:
        """Note that the consumer polls; after half a session without it, membership is in doubt.

        It stays in doubt until :meth:`confirmed`: a poll may return before the group's answer.
        """
        if self.seconds_since_poll > self._sure_for:
            self.in_doubt = True
            self.doubts += 1
        self._polled_at = time.monotonic()

    def confirmed(self) -> None:
        """Note that the group knows this member: it accepted a commit.

        An assignment of partitions does not count: it may be from before the freeze.
        """
        self.in_doubt = False


@dataclass(slots=True)
class Ownership:
    """Knows whether a job is this worker's, so that its events may be published.

    The job and its reporter share it. If one referred to the other instead, each finished job would
    stay in memory until the garbage collector finds the two.

    :ivar is_owned: whether the group has not given the partition to another worker, as far as this
        one knows. A job whose partition was lost runs on, silently: the group may give it back
    """

    membership: Membership
    is_owned: bool = True

    def may_publish(self) -> bool:
        """Tell whether events of the job may be published now."""
        return self.is_owned and self.membership.may_publish()

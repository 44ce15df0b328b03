"""Whether a worker may speak for its jobs: a process that was frozen asks before it does.

While a process is stopped (SIGSTOP, a suspended machine, a long page-in), its group may have given
its partitions to others, and it cannot know. What it would say then might contradict the new owner.
"""

from __future__ import annotations

import time

DOUBT_SHARE = 0.5
"""The share of the session after which membership is in doubt. The group counts from the last
heartbeat, which is older than the last poll: it may go on before this side's time is over."""


class Membership:
    """Knows whether the consumer's membership of its group can be taken for granted.

    Set by the polling thread; asked by whoever is about to publish an event.

    ``doubts`` counts how often it could not be.

    :param session_timeout: seconds after which the group gives up a member that it does not hear of
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
        """Tell whether events may go out now."""
        return not self.in_doubt and self.seconds_since_poll <= self._sure_for

    def about_to_poll(self) -> None:
        """Note that the consumer polls; after half a session without, membership is in doubt.

        It stays so until :meth:`confirmed`: a poll may well return before the group's answer.
        """
        if self.seconds_since_poll > self._sure_for:
            self.in_doubt = True
            self.doubts += 1
        self._polled_at = time.monotonic()

    def confirmed(self) -> None:
        """Note that the group knows this member: it accepted a commit.

        Not so where it assigned partitions: that may have been before the process was frozen.
        """
        self.in_doubt = False

"""How long the kit waits, and how long its jobs take: all times grow with one factor."""

from __future__ import annotations

from dataclasses import dataclass

SOON_SECONDS = 10.0
"""For what a worker does at once."""
START_SECONDS = 60.0
"""For the first sign of a worker that was started."""
SESSION_SECONDS = 6.0
"""The shortest session timeout that a broker permits by default (group.min.session.timeout.ms)."""
QUIET_SECONDS = 1.5
"""For what must not happen."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The times of a run, in seconds.

    :ivar factor: 1 on a quiet machine, more on a slow one
    """

    factor: float = 1.0

    def seconds(self, seconds: float) -> float:
        """Return a time that is this long on a quiet machine."""
        return seconds * self.factor

    @property
    def soon(self) -> float:
        """How long to wait for what a worker does at once."""
        return self.seconds(SOON_SECONDS)

    @property
    def start(self) -> float:
        """How long to wait for the first sign of a worker that was started."""
        return self.seconds(START_SECONDS)

    @property
    def quiet(self) -> float:
        """How long to wait for what must not happen."""
        return self.seconds(QUIET_SECONDS)

    @property
    def session(self) -> float:
        """The session timeout of the workers: after this, a dead one's jobs go to another one."""
        return self.seconds(SESSION_SECONDS)

    @property
    def takeover(self) -> float:
        """How long it may take until another worker has a dead one's jobs."""
        return 2 * self.session + self.start

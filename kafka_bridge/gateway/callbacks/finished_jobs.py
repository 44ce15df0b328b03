"""Which jobs have been called back to their end, so that nothing is taken for them after it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from enum import Enum

MOST_JOBS = 100_000
"""As many ends are remembered: about 30 MB, and hours of callbacks. What is forgotten costs no more
than a callback that is taken, and that no job waits for."""


class Seen(Enum):
    """How a callback stands to what has ended its job."""

    NOTHING = "the job has not ended"
    SAME = "this very callback has ended it"
    OTHER = "another one has ended it"


class FinishedJobs:
    """Remembers the callbacks that ended jobs, the latest so many. Any thread may use it."""

    def __init__(self, most: int = MOST_JOBS) -> None:
        self._most = most
        self._digests: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, job_id: str, body: bytes) -> None:
        """Take in that this callback ends a job. Of several, the first counts."""
        with self._lock:
            self._digests.setdefault(job_id, _digest(body))
            if len(self._digests) > self._most:
                self._digests.popitem(last=False)

    def seen(self, job_id: str, body: bytes) -> Seen:
        """Tell how a callback stands to what has ended its job."""
        with self._lock:
            ended_by = self._digests.get(job_id)
        if ended_by is None:
            return Seen.NOTHING
        return Seen.SAME if ended_by == _digest(body) else Seen.OTHER


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()

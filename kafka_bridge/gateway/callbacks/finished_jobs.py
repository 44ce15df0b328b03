"""Remembers the jobs with a final callback, so that no other callback is accepted for them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from enum import Enum

MAX_JOBS = 100_000
"""The number of remembered jobs: about 30 MB, and hours of callbacks. After it, a late callback is
accepted, which does no harm, as no job waits for it."""


class Seen(Enum):
    """How a callback relates to the final callback of its job."""

    NOTHING = "the job is not finished"
    SAME = "the same callback has finished it"
    OTHER = "another callback has finished it"


class FinishedJobs:
    """Remembers the final callbacks of the latest jobs. It is thread-safe."""

    def __init__(self, limit: int = MAX_JOBS) -> None:
        self._limit = limit
        self._digests: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, job_id: str, body: bytes) -> None:
        """Remember that this callback has finished a job. The first one counts."""
        with self._lock:
            self._digests.setdefault(job_id, _digest(body))
            if len(self._digests) > self._limit:
                self._digests.popitem(last=False)

    def seen(self, job_id: str, body: bytes) -> Seen:
        """Return how a callback relates to the final callback of its job."""
        with self._lock:
            ended_by = self._digests.get(job_id)
        if ended_by is None:
            return Seen.NOTHING
        return Seen.SAME if ended_by == _digest(body) else Seen.OTHER


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()

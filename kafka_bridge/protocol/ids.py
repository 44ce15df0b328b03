"""Correlation ids: UUID text in lower case, the key of every record of a job."""

from __future__ import annotations

import itertools
import re
import uuid

CORRELATION_ID_LENGTH = 36
"""Characters of a correlation id, which are bytes in a record's key."""

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_correlation_id() -> str:
    """Return a random correlation id (UUID version 4)."""
    return str(uuid.uuid4())


def new_event_id() -> str:
    """Return a random id for one status event."""
    return str(uuid.uuid4())


class EventIds:
    """Makes the ids of one worker's events: a random part of its own, and a number.

    A UUID for each would ask the system for random bytes, and Python lets go of its lock for that:
    measured, a third of a busy worker's time.
    """

    def __init__(self) -> None:
        self._prefix = uuid.uuid4().hex[:20]
        self._numbers = itertools.count()

    def __call__(self) -> str:
        """Return the next one."""
        return f"{self._prefix}-{next(self._numbers)}"


def is_correlation_id(text: str) -> bool:
    """Tell whether ``text`` is a correlation id in its one canonical form (36 characters)."""
    return _CANONICAL.fullmatch(text) is not None


def correlation_id_from_key(key: bytes | None) -> str | None:
    """Return the correlation id that a record's key holds, or None where it holds none."""
    if key is None or len(key) != CORRELATION_ID_LENGTH:
        return None
    try:
        text = key.decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if is_correlation_id(text) else None


def batch_job_ids(batch_id: str, count: int) -> list[str]:
    """Return the correlation ids of a batch's jobs: UUIDs of version 5 of its id and their index.

    :param batch_id: itself a UUID
    :param count: how many jobs the batch has
    """
    namespace = uuid.UUID(batch_id)
    return [str(uuid.uuid5(namespace, str(index))) for index in range(count)]

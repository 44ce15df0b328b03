"""Correlation ids: UUID text in lower case, the key of every record of a job."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import secrets
import uuid

CORRELATION_ID_LENGTH = 36
"""Characters of a correlation id, which are bytes in a record's key."""

PREFIX_LENGTH = 18
"""Characters of the prefix that the ids of a task instance's jobs have in common."""

_VARIANT = {f"{digit:x}": f"{digit & 0b0011 | 0b1000:x}" for digit in range(16)}
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_correlation_id() -> str:
    """Return a random correlation id (UUID version 4)."""
    return str(uuid.uuid4())


def new_event_id() -> str:
    """Return a random id for one status event."""
    return str(uuid.uuid4())


class EventIds:
    """Makes the ids of one worker's events: a random prefix and a number.

    A UUID for each event would need random bytes from the system, for which Python releases its
    lock. Measured: a third of a busy worker's time.
    """

    def __init__(self) -> None:
        self._prefix = uuid.uuid4().hex[:20]
        self._numbers = itertools.count()

    def __call__(self) -> str:
        """Return the next id."""
        return f"{self._prefix}-{next(self._numbers)}"


def is_correlation_id(text: str) -> bool:
    """Return whether ``text`` is a correlation id in the canonical form (36 characters)."""
    return _CANONICAL.fullmatch(text) is not None


def correlation_id_from_key(key: bytes | None) -> str | None:
    """Return the correlation id in a record's key, or None if the key is something else."""
    if key is None or len(key) != CORRELATION_ID_LENGTH:
        return None
    try:
        text = key.decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if is_correlation_id(text) else None


def task_prefix(source: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return what the correlation ids of all jobs of a task instance begin with (18 characters).

    It is a hash of 60 bits, in the form of a UUID of version 8, which leaves its content free
    (RFC 9562). By it, the requests of earlier tries are found.
    """
    identity = json.dumps([source, dag_id, run_id, task_id, map_index])
    text = hashlib.sha256(identity.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[12:15]}"


def new_job_id(prefix: str) -> str:
    """Return a random correlation id, or batch id, with a task's prefix."""
    return _completed(prefix, secrets.token_hex(8))


def batch_job_ids(batch_id: str, count: int) -> list[str]:
    """Return the correlation ids of a batch's jobs: its prefix, and hashes of its id and an index.

    :param batch_id: the batch's id, a UUID
    :param count: how many jobs the batch has
    """
    prefix = batch_id[:PREFIX_LENGTH]
    base = hashlib.sha1(batch_id.encode(), usedforsecurity=False)
    ids = []
    for index in range(count):
        digest = base.copy()
        digest.update(b"%d" % index)
        ids.append(_completed(prefix, digest.hexdigest()))
    return ids


def _completed(prefix: str, digits: str) -> str:
    """Return a prefix, completed to a UUID with 62 of the bits in these 16 or more hex digits."""
    return f"{prefix}-{_VARIANT[digits[0]]}{digits[1:4]}-{digits[4:16]}"

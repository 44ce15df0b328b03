"""Correlation ids: UUID text in lower case, the key of every record of a job."""

from __future__ import annotations

import hashlib
import itertools
import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

CORRELATION_ID_LENGTH = 36
"""Characters of a correlation id, which are bytes in a record's key."""

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


def batch_job_ids(batch_id: str, count: int) -> list[str]:
    """Return the correlation ids of a batch's jobs: UUIDs (version 5) of its id and an index.

    :param batch_id: the batch's id, a UUID
    :param count: how many jobs the batch has
    """
    namespace = hashlib.sha1(uuid.UUID(batch_id).bytes, usedforsecurity=False)
    return [_uuid5(namespace, str(index)) for index in range(count)]


def _uuid5(namespace: Hash, name: str) -> str:
    """Return the text of a UUID of version 5, four times as fast as :mod:`uuid`."""
    digest = namespace.copy()
    digest.update(name.encode())
    text = digest.hexdigest()
    # RFC 9562: the 13th digit is the version, of the 17th two bits are the variant.
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"

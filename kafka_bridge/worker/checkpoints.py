"""What handlers save of their jobs, as the text that events carry."""

from __future__ import annotations

from typing import Any

from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.checkpoint import CHECKPOINT_BYTES, CLEARED
from kafka_bridge.protocol.errors import PayloadNotSerialisable
from kafka_bridge.protocol.media_types import from_json
from kafka_bridge.worker.errors import ApplicationError


def to_text(value: object) -> str:
    """Return a checkpoint as JSON text.

    :raises ApplicationError: it has no JSON form, or its text is too long; a retry would not help
    """
    if value is None:
        return CLEARED
    if isinstance(value, bytes):
        raise _refused("bytes are not JSON: save text, such as base64", "not_serialisable")
    try:
        data, _ = to_bytes(value, "checkpoint")
    except PayloadNotSerialisable as error:
        raise _refused(str(error), "not_serialisable") from error
    assert data is not None  # noqa: S101  only None has no bytes
    if len(data) > CHECKPOINT_BYTES:
        raise _refused(
            f"it has {len(data):,} bytes as JSON, and {CHECKPOINT_BYTES:,} are allowed: store the "
            "data elsewhere, and save where they are",
            "too_large",
        )
    return data.decode()


def _refused(why: str, kind: str) -> ApplicationError:
    return ApplicationError(
        f"the checkpoint was not saved, the one before is kept: {why}",
        type=f"checkpoint_{kind}",
        retryable=False,
    )


def from_text(text: str) -> Any:
    """Return the checkpoint in a text.

    :raises ValueError: the text is not JSON
    """
    return from_json(text.encode("utf-8"))

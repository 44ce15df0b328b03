"""The checkpoint of a job in its status events: an attribute, because the schema is frozen."""

from __future__ import annotations

from collections.abc import Mapping

from kafka_bridge.protocol.messages import StatusEvent

CHECKPOINT = "checkpoint"
"""The attribute of an event that has what the job's handler saved last, as JSON text."""
CHECKPOINT_BYTES = 4_000
"""How long that text may be, in UTF-8: every event of the job repeats it."""
CLEARED = "null"
"""The text of a checkpoint that the handler has cleared. It is repeated, too: an event without the
attribute says nothing, since its worker may not know checkpoints."""


def checkpoint_in(event: StatusEvent) -> str | None:
    """Return the text of an event's checkpoint; None if the event has none, or one too long."""
    text = event.attributes.get(CHECKPOINT)
    if text is None or len(text) > CHECKPOINT_BYTES:
        return None
    if not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > CHECKPOINT_BYTES:
        return None
    return text


def with_checkpoint(text: str | None) -> Mapping[str, str]:
    """Return the attributes of an event with this checkpoint; none for None."""
    return {} if text is None else {CHECKPOINT: text}

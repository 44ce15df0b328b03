"""Makes what handlers report fit for an event: numbers of any type, texts of any length."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from kafka_bridge.protocol.errors import InvalidMessage, RecordTooLarge
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress
from kafka_bridge.protocol.sanitize import LINE_BYTES, UNIT_BYTES, block, one_line
from kafka_bridge.worker.errors import failure

SHORT_BYTES = 200
"""The length of a text in an event that was too large for its topic."""

Complain: TypeAlias = Callable[[str, str], None]
"""Called with a field that was dropped or cut: its name, and what is wrong with it."""

_CONVERSIONS: tuple[Callable[[Any], int | float], ...] = (operator.index, float)


def number(value: object) -> int | float | None:
    """Return a number of any type as one that an event can carry; None for anything else.

    Numbers are what Python takes for one: ``Decimal``, ``Fraction`` and numpy's have ``__float__``
    or ``__index__``. Not a number, infinity and what exceeds a double cannot be carried.
    """
    found: int | float | None = None
    if type(value) is int or type(value) is float:
        found = value
    elif hasattr(value, "__float__") or hasattr(value, "__index__"):
        found = _converted(value)
    largest = sys.float_info.max
    return found if found is not None and -largest <= found <= largest else None


def _converted(value: object) -> int | float | None:
    for convert in _CONVERSIONS:
        try:
            return convert(value) + 0  # of True, 1
        except Exception:  # noqa: S112  a foreign type may raise anything
            continue
    return None


def progress(completed: object, total: object, unit: object, complain: Complain) -> Progress | None:
    """Return progress as an event carries it, None where ``completed`` is not a number.

    :param complain: called with what was dropped, and why
    """
    done, whole = number(completed), None if total is None else number(total)
    if done is None:
        why = f"{_shown(completed)} is not a finite number"
        complain("progress", f"progress is not reported: {why}")
        return None
    if whole is None and total is not None:
        why = f"{_shown(total)} is not a finite number"
        complain("total", f"progress is reported without its total: {why}")
    return Progress(done, whole, None if unit is None else text(unit, UNIT_BYTES))


def _shown(value: object) -> str:
    try:
        return one_line(repr(value), SHORT_BYTES)
    except Exception:
        return f"a {type(value).__qualname__}"


def text(value: object, limit: int = LINE_BYTES) -> str:
    """Return any value as a line of at most ``limit`` bytes; a cut is stated in it."""
    if isinstance(value, str):
        return one_line(value, limit)
    try:
        return one_line(str(value), limit)
    except Exception:
        return f"(a {type(value).__qualname__} that has no text)"


def message(value: object, complain: Complain) -> str:
    """Return any value as a line for the task's log.

    :param complain: called if the line was cut
    """
    line = text(value)
    if isinstance(value, str) and len(value) > LINE_BYTES:
        size = len(value.encode("utf-8", "replace"))
        complain("message", f"a message has {size:,} bytes and was cut to {LINE_BYTES:,}")
    return line


def external_id(value: object, complain: Complain) -> str:
    """Return an external id as events carry it.

    :param complain: called if the id was cut
    :raises InvalidMessage: it is not text: no event could carry it, not even the terminal event
    """
    try:
        size = len(str.encode(value))  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        raise InvalidMessage(f"external_id must be text, not {value!r:.60}: use str(…)") from None
    if size <= LINE_BYTES:
        return str(value)
    complain(
        "external_id",
        f"the external id has {size:,} bytes and was cut to {LINE_BYTES:,}: another delivery of "
        "the job will not find the work by it",
    )
    return one_line(str(value), LINE_BYTES)


def smaller_ends(
    state: JobState, facts: Mapping[str, Any], error: RecordTooLarge
) -> Iterator[tuple[JobState, dict[str, Any]]]:
    """Yield smaller events for a terminal event that is too large for its topic.

    Each is smaller than the one before. The last has short texts only.
    """
    facts = dict(facts)
    if state is JobState.SUCCEEDED:
        attributes = {name: facts[name] for name in ("attributes",) if name in facts}
        reason = failure("result_too_large", str(error), retryable=False)
        state, facts = JobState.FAILED, {"error": reason, **attributes}
        yield state, facts
    cause: JobFailure | None = facts.get("error")
    if cause is not None and cause.details is not None:
        cause = replace(cause, details=None)
        facts = {**facts, "error": cause}
        yield state, facts
    if cause is not None:
        facts = {**facts, "error": replace(cause, message=block(cause.message, SHORT_BYTES))}
    if (message := facts.get("message")) is not None:
        facts = {**facts, "message": one_line(message, SHORT_BYTES)}
    yield state, facts

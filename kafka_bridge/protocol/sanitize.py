r"""Makes text from outside safe to show: removes control characters and limits the size.

Every client that may write to a topic decides what text it contains. That text reaches logs,
terminals, databases and web pages. Without cleaning, an escape code repaints a terminal, a newline
forges a log line, Postgres refuses NUL, a bidirectional mark changes the order of the shown text
(CVE-2021-42574, "Trojan Source"), and ten megabytes block every program that has to process them.

Removed text stays visible. A character that cannot be shown becomes its escape, as in ``repr`` and
structured logs (``\x00``, ``\x1b[31m``, ``\u202e``). A text that is cut states its full size.

Every message from Kafka passes :func:`sanitized` when it is decoded. Other text from outside
(record keys, headers, answers of services, output of programs) passes :func:`one_line` or
:func:`block` before it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from kafka_bridge.protocol.messages import (
    JobCommand,
    JobRequest,
    StatusEvent,
)
from kafka_bridge.protocol.plain_data import M

# Limits, in bytes of UTF-8.
NAME_BYTES = 250
"""Names: worker ids, job types, error types, topics, DAGs, tasks, runs."""
UNIT_BYTES = 50
"""The unit of a progress, such as ``files``."""
LINE_BYTES = 2_000
"""A line for a person: a message, a reason, an external id, the address of a page."""
ADDRESS_BYTES = 8_000
"""The address of a result: signed URLs are longer than 2,000 bytes, and a cut address is useless.
An HTTP server should accept at least this length (RFC 9110, section 4.1)."""
ERROR_MESSAGE_BYTES = 4_000
"""The message of an error, which may have several lines."""
DETAILS_BYTES = 32_000
"""The details of an error: a long traceback."""

_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, not tab and newline: ANSI begins with \x1b
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks
    "\u2028\u2029"  # line and paragraph separators: newlines for some programs
    "\ud800-\udfff"  # lone surrogates: UTF-8 cannot encode them
    "\U000e0000-\U000e007f"  # tags: invisible text
)
UNSHOWN = re.compile(f"[{_INVISIBLE}]")
"""Characters that cannot be shown in text of several lines."""
_NOT_IN_LINES = re.compile(f"[\t\n{_INVISIBLE}]")
_COMMAND = re.compile("::(?=(?:end)?group::)", re.IGNORECASE)
"""Airflow's log view folds the lines after such a word, as GitHub's does."""


def one_line(text: str, limit: int = LINE_BYTES) -> str:
    """Return text as one harmless line of at most ``limit`` bytes.

    A text that is too long keeps its beginning, and states its full size.

    :param limit: bytes of UTF-8, at least 50
    """
    if text.isascii() and text.isprintable() and len(text) <= limit and "::" not in text:
        return text  # nearly always
    clean = _clean(text[:limit], _NOT_IN_LINES)
    if len(text) <= limit and _size(clean) <= limit:
        return clean
    note = f" … (cut, {_size(text):,} bytes in all)"
    return _head(clean, limit - _size(note)) + note


def block(text: str, limit: int = DETAILS_BYTES) -> str:
    """Return text as harmless lines of at most ``limit`` bytes together.

    A text that is too long keeps its beginning and its end, with its full size between them.

    :param limit: bytes of UTF-8, at least 50
    """
    if len(text) <= limit:
        clean = _clean(text.replace("\r\n", "\n"), UNSHOWN)
        if _size(clean) <= limit:
            return clean
    note = f"\n… (cut, {_size(text):,} bytes in all) …\n"
    room = (limit - _size(note)) // 2
    first, last = (_clean(each, UNSHOWN) for each in (text[:room], text[-room:]))
    return _head(first, room) + note + _tail(last, room)


def _clean(text: str, forbidden: re.Pattern[str]) -> str:
    return _COMMAND.sub(": :", forbidden.sub(_escape, text))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _head(text: str, size: int) -> str:
    return text.encode("utf-8")[:size].decode("utf-8", "ignore")


def _tail(text: str, size: int) -> str:
    return text.encode("utf-8")[-size:].decode("utf-8", "ignore")


def sanitized(message: M) -> M:
    """Return the message with texts that can be shown; the same message if they already can.

    Payload, result and attributes are not changed: they are data for programs.
    """
    changed = _changed(message, _FIELDS[type(message)])
    for name, part in _PARTS[type(message)].items():
        if (value := getattr(message, name)) is not None:
            fields = _changed(value, part)
            if fields:
                changed[name] = replace(value, **fields)
    return replace(message, **changed) if changed else message


def _changed(value: object, fields: Mapping[str, _Cleaner]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, cleaned in fields.items():
        text = getattr(value, name)
        if text is not None and (clean := cleaned(text)) != text:
            changed[name] = clean
    return changed


_Cleaner: TypeAlias = Callable[[str], str]

_name: _Cleaner = partial(one_line, limit=NAME_BYTES)
_FIELDS: Mapping[type, Mapping[str, _Cleaner]] = {
    JobRequest: {"job_type": _name, "payload_type": _name, "response_topic": _name},
    StatusEvent: {
        "event_id": _name,
        "worker_id": _name,
        "message": one_line,
        "external_id": one_line,
        "result_type": _name,
    },
    JobCommand: {"reason": one_line},
}
_REFERENCE: Mapping[str, _Cleaner] = {"uri": partial(one_line, limit=ADDRESS_BYTES)}
_PARTS: Mapping[type, Mapping[str, Mapping[str, _Cleaner]]] = {
    JobRequest: {
        "payload_ref": _REFERENCE,
        "task": {
            "source": _name,
            "dag_id": _name,
            "run_id": _name,
            "task_id": _name,
            "url": one_line,
        },
    },
    StatusEvent: {
        "progress": {"unit": partial(one_line, limit=UNIT_BYTES)},
        "result_ref": _REFERENCE,
        "error": {
            "type": _name,
            "message": partial(block, limit=ERROR_MESSAGE_BYTES),
            "details": block,
        },
    },
    JobCommand: {},
}

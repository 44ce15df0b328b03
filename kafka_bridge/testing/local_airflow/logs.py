"""Lines of a task's log, as the API returns them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SOURCE_GROUP = "::group::Log message source details"
END_OF_GROUP = "::endgroup::"
KNOWN_FIELDS = frozenset({"timestamp", "level", "event", "logger", "error_detail"})


@dataclass(frozen=True)
class LogLine:
    """One line of a task or its trigger.

    ``error`` is the traceback that came with it, as text, or None; ``fields`` is everything else
    that the entry holds, for instance ``chan`` (``stdout``) or ``loc``.
    """

    event: str
    level: str | None = None
    timestamp: datetime | None = None
    logger: str | None = None
    error: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        text = " ".join(
            filter(None, [str(self.timestamp or ""), (self.level or "").upper(), self.event])
        )
        return f"{text}\n{self.error}" if self.error else text


def parse_log(content: Iterable[Mapping[str, Any] | str]) -> list[LogLine]:
    """Turn the API's entries into lines, without the header that says where they were read."""
    lines: list[LogLine] = []
    in_header = False
    for entry in content:
        line = LogLine(entry) if isinstance(entry, str) else _line(entry)
        if line.timestamp is None and line.event in (SOURCE_GROUP, END_OF_GROUP):
            in_header = line.event == SOURCE_GROUP
        elif not in_header:
            lines.append(line)
    return lines


def _line(entry: Mapping[str, Any]) -> LogLine:
    stamp = entry.get("timestamp")
    return LogLine(
        event=str(entry.get("event", "")),
        level=entry.get("level"),
        timestamp=datetime.fromisoformat(stamp) if stamp else None,
        logger=entry.get("logger"),
        error=_error_text(entry.get("error_detail")),
        fields={key: value for key, value in entry.items() if key not in KNOWN_FIELDS},
    )


def _error_text(detail: Any) -> str | None:
    """Format structlog's list of exceptions like a traceback of Python."""
    if not detail:
        return None
    if not isinstance(detail, list):
        return str(detail)
    return "\n".join(_exception_text(exception) for exception in reversed(detail))


def _exception_text(exception: Mapping[str, Any]) -> str:
    frames = [
        f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
        for frame in exception.get("frames") or []
    ]
    head = ["Traceback (most recent call last):"] if frames else []
    last = f"{exception.get('exc_type')}: {exception.get('exc_value')}"
    return "\n".join([*head, *frames, last, *(exception.get("exc_notes") or [])])

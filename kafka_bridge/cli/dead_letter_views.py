"""Dead letters as a table, as text and as JSON. Their content is not trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import typer

from kafka_bridge.cli.tables import print_rows
from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter
from kafka_bridge.kafka.admin.replay import REPLAYED
from kafka_bridge.protocol.excerpts import excerpt
from kafka_bridge.protocol.headers import text_header
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.protocol.sanitize import ERROR_MESSAGE_BYTES, one_line

CELL_CHARACTERS = 300


def print_table(letters: Iterable[DeadLetter]) -> None:
    """Print a table with one row for each dead letter."""
    rows = []
    for letter in letters:
        location, original = letter.record.location, letter.headers.original
        cells = (
            f"{location.partition}@{location.offset}",
            _time(letter.dead_lettered_at),
            str(original or "–"),
            letter.correlation_id or "–",
            letter.job_type or "–",
            _error(letter)[:CELL_CHARACTERS],
        )
        rows.append([one_line(cell) for cell in cells])
    print_rows(("location", "dead-lettered", "origin", "job", "job type", "error"), rows)


def print_json(letters: Iterable[DeadLetter]) -> None:
    """Print one JSON object per line."""
    for letter in letters:
        typer.echo(json.dumps(_facts(letter)))


def print_letter(letter: DeadLetter) -> None:
    """Print a dead letter with all its fields and the beginning of its payload."""
    for line in _lines(letter):
        typer.echo(one_line(line, ERROR_MESSAGE_BYTES))


def _facts(letter: DeadLetter) -> dict[str, Any]:
    original = letter.headers.original
    at = letter.dead_lettered_at
    return {
        "location": str(letter.record.location),
        "dead_lettered_at": None if at is None else at.isoformat(),
        "original": None if original is None else asdict(original),
        "correlation_id": letter.correlation_id,
        "job_type": letter.job_type,
        "error_type": letter.headers.error_type,
        "error_message": letter.headers.error_message,
        "replayed_from": text_header(letter.own_headers, REPLAYED),
    }


def _lines(letter: DeadLetter) -> Iterator[str]:
    record, headers = letter.record, letter.headers
    yield f"Dead letter {record.location}, written {_time(letter.dead_lettered_at)}"
    yield f"origin      {headers.original or '–'}"
    yield f"error       {_error(letter)}"
    yield f"key         {_bytes_as_text(record.key)}"
    yield "headers"
    for name, value in letter.own_headers:
        yield f"  {name}: {_bytes_as_text(value)}"
    if letter.request is None:
        yield f"value       {len(record.value or b''):,} bytes, not readable: {letter.unreadable}"
        yield from excerpt(record.value)
    else:
        yield "request"
        yield from _request(letter.request)
        size = len(letter.request.payload or b"")
        yield f"payload     {size:,} bytes, {letter.request.payload_type or 'none'}"
        yield from excerpt(letter.request.payload)


def _request(request: JobRequest) -> Iterator[str]:
    for name, value in asdict(request).items():
        if name not in {"payload", "payload_type"} and value not in (None, {}):
            yield f"  {name}: {_time(value) if isinstance(value, datetime) else value}"


def _bytes_as_text(data: bytes | None) -> str:
    if data is None:
        return "–"
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"


def _error(letter: DeadLetter) -> str:
    kind = letter.headers.error_type.rpartition(".")[2]
    # The error of an unreadable request begins with its place, which is shown as the origin.
    text = letter.headers.error_message.removeprefix(f"{letter.headers.original}: ")
    return ": ".join(part for part in (kind, text) if part) or "–"


def _time(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"

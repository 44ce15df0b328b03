"""Results as plain data, which JSON and people see the same way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafka_bridge.conformance.results import Result, Verdict
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import decode, detect, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import InvalidMessage, RemoteProtocolError
from kafka_bridge.protocol.messages import StatusEvent
from kafka_bridge.protocol.sanitize import one_line

VALUE_BYTES = 1_000
HEX_BYTES = 200
"""How much of a record's value is shown."""


def record_document(record: Record) -> dict[str, Any]:
    """Return a record with texts that are safe to show."""
    return {
        "location": one_line(str(record.location)),
        "key": _bytes(record.key),
        "headers": [[one_line(name), _bytes(value)] for name, value in record.headers],
        "timestamp_ms": record.timestamp_ms,
        "value": value_text(record.value),
    }


def value_text(value: bytes | None) -> str | None:
    """Return a value to be shown: a status event and JSON as JSON, all else in hexadecimal."""
    if value is None:
        return None
    try:
        is_json = detect(value) is Encoding.JSON
        text = value if is_json else encode(decode(StatusEvent, value), Encoding.JSON)
    except (RemoteProtocolError, InvalidMessage):
        more = "" if len(value) <= HEX_BYTES else f" … ({len(value):,} bytes in all)"
        return value[:HEX_BYTES].hex(" ") + more
    return one_line(text.decode("utf-8", "replace"), VALUE_BYTES)


def _bytes(value: bytes | None) -> str | None:
    return None if value is None else one_line(value.decode("utf-8", "backslashreplace"), 200)


def result_document(result: Result) -> dict[str, Any]:
    """Return a result; what does not apply to it is left out."""
    document: dict[str, Any] = {
        "id": result.probe.id,
        "level": result.probe.level,
        "encoding": result.encoding.value,
        "rule": result.probe.rule,
        "verdict": result.verdict.value,
        "seconds": round(result.seconds, 3),
    }
    if result.unmet is not None:
        document |= {
            "expected": one_line(result.unmet.expected),
            "came": one_line(result.unmet.came),
        }
        if result.unmet.record is not None:
            document["record"] = record_document(result.unmet.record)
        document["worker_output"] = result.output
    if result.verdict is Verdict.SKIPPED:
        document["why"] = result.why
    return document


def run_document(results: Iterable[Result], levels: Mapping[Encoding, int]) -> dict[str, Any]:
    """Return a whole run.

    :param levels: the level that was reached, by encoding
    """
    return {
        "levels": {encoding.value: level for encoding, level in levels.items()},
        "results": [result_document(each) for each in results],
    }

"""Read a file of Kafka properties, as Kafka's own tools take with ``--command-config``.

The format is that of Java's ``Properties``, the names are librdkafka's. No error shows a value: it
may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kafka_bridge.protocol.errors import ConfigurationError

_ESCAPED = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ENTRY = re.compile(r"((?:\\.|[^\\=:\s])+)\s*(?:[=:]\s*)?(.*)", re.DOTALL)


def read_properties(path: Path) -> dict[str, str]:
    """Return the properties in a file. If a name occurs twice, the last value counts.

    :raises ConfigurationError: the file cannot be read, or a line is not a property
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"the file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the file {path} cannot be read: it is not UTF-8") from error
    found: dict[str, str] = {}
    for number, line in _logical_lines(text):
        match = _ENTRY.fullmatch(line)
        if match is None or not match[2]:
            raise ConfigurationError(f"{path}:{number}: expected a line of the form name=value")
        found[_unescaped(match[1])] = _unescaped(match[2])
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, without comments; a backslash at the end goes on."""
    first, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        part = line.lstrip()
        if not parts and (not part or part[0] in "#!"):
            continue
        first = first if parts else number
        backslashes = len(part) - len(part.rstrip("\\"))
        if backslashes % 2:
            parts.append(part[:-1])
            continue
        yield first, "".join([*parts, part])
        parts = []
    if parts:
        yield first, "".join(parts)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _LETTERS.get(code, code)

    return _ESCAPED.sub(plain, text)

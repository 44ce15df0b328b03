"""The beginning of data from outside, as lines that can be shown."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

EXCERPT_BYTES = 2_000
HEX_BYTES = 512
_ROW_BYTES = 16


def excerpt(data: bytes | None, most: int = EXCERPT_BYTES) -> Iterator[str]:
    """Yield the beginning of the bytes as lines: text if they are printable UTF-8, else in hex.

    :param most: how many bytes of text are shown
    """
    if not data:
        return
    shown = most
    try:
        lines = _as_text(data, shown).splitlines()
    except ValueError:
        shown = HEX_BYTES
        lines = list(hex_rows(data[:shown]))
    yield from (f"  {line}" for line in lines)
    if len(data) > shown:
        yield f"  … and {len(data) - shown:,} more bytes"


def _as_text(data: bytes, most: int) -> str:
    """Return the first bytes as text.

    :raises ValueError: they are not printable UTF-8
    """
    whole = len(data) <= most  # otherwise the last character may be cut in two
    text = codecs.getincrementaldecoder("utf-8")().decode(data[:most], final=whole)
    if not all(each.isprintable() or each.isspace() for each in text):
        raise ValueError("control characters")
    return text


def hex_rows(data: bytes) -> Iterator[str]:
    """Yield lines with the bytes in hex, and with those that are printable ASCII."""
    for start in range(0, len(data), _ROW_BYTES):
        row = data[start : start + _ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start:06x}  {row.hex(' '):<{3 * _ROW_BYTES}} {text}"

"""One output of a program: its lines as they arrive, and its last part."""

from __future__ import annotations

from collections.abc import Callable

from kafka_bridge.gateway.mask import Mask, MaskedStream

LINE_CHARACTERS = 1_000
"""The part of a line that is read: enough for a message, and short enough for a pattern."""
LINE_BYTES = 4 * LINE_CHARACTERS
BEGIN_BYTES = 20
"""The part of a line that shows whether it is JSON."""


class Output:
    """One output of a program. The memory for it is limited.

    The last lines are stored completely; the very last one is always stored.

    :param limit: the number of bytes to store
    :param line_limit: the number of bytes to store of the very last line, if it is larger
    :param mask: masks the output as it arrives, before it is cut
    :param on_lines: is called with the lines that a piece completes
    :ivar is_cut: whether the beginning of the first stored line is lost
    :ivar cut_begins: the beginning of that line
    """

    def __init__(
        self,
        limit: int,
        line_limit: int,
        mask: Mask,
        on_lines: Callable[[list[str]], None],
    ) -> None:
        self.is_cut = False
        self.cut_begins = ""
        self._total = 0
        self._limit = limit
        self._longest = max(limit, line_limit)
        self._cut_beyond = 2 * limit
        self._masked = MaskedStream(mask)
        self._on_lines = on_lines
        self._kept = bytearray()
        self._line = b""

    def write(self, piece: bytes) -> None:
        """Add a piece of the output."""
        self._write(self._masked.feed(piece))

    def _write(self, piece: bytes) -> None:
        # A program that draws a progress bar goes back to the start of the line with \r.
        piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._kept += piece
        self._total += len(piece)
        if len(self._kept) > self._cut_beyond:
            self._cut()
            self._cut_beyond = 2 * max(self._limit, len(self._kept))  # so that it is rarely cut
        *lines, rest = (self._line + piece).rsplit(b"\n", 1)
        self._line = rest[:LINE_BYTES]
        if lines:
            self._publish(lines[0])

    def end(self) -> None:
        """Finish the output."""
        self._write(self._masked.end())
        self._cut()
        if self._line:
            self._publish(self._line)

    def _publish(self, lines: bytes) -> None:
        self._on_lines([each[:LINE_CHARACTERS] for each in self._text(lines).split("\n")])

    def _cut(self) -> None:
        surplus = len(self._kept) - self._limit
        if surplus <= 0:
            return
        length = len(self._kept.rstrip())
        last = self._kept.rfind(b"\n", 0, length) + 1
        begin = self._kept.find(b"\n", surplus - 1, last) + 1 or last
        if length - begin > self._longest:
            if not self.is_cut or begin:
                self.cut_begins = self._text(self._kept[begin : begin + BEGIN_BYTES])
            begin, self.is_cut = length - self._longest, True
        elif begin:
            self.is_cut = False
        del self._kept[:begin]

    def lines(self) -> list[str]:
        """Return the stored lines that are not blank."""
        return [each for each in self._text(self._kept).split("\n") if each.strip()]

    def text(self) -> str:
        """Return the last part of the output as text."""
        return self._text(self._kept[-self._limit :]).strip("\n")

    @property
    def left_out(self) -> int:
        """The number of bytes of the output before :meth:`text`."""
        return self._total - min(len(self._kept), self._limit)

    def _text(self, data: bytes | bytearray) -> str:
        return data.decode("utf-8", "replace")

"""What a program writes to one of its outputs: its lines as they come, and the end of it all."""

from __future__ import annotations

from collections.abc import Callable

from kafka_bridge.gateway.mask import Mask, MaskedStream

LINE_CHARACTERS = 1_000
"""As much of a line is looked at: enough for a message, and a pattern is quick on it."""
LINE_BYTES = 4 * LINE_CHARACTERS
BEGIN_BYTES = 20
"""So much of a line shows whether it is JSON."""


class Output:
    """One of a program's outputs. What is not kept takes no memory, be it many lines or one.

    The last lines are kept, whole ones, and always the very last one.

    :param limit: so many bytes are kept
    :param line_limit: so many of the very last line, where that is more
    :param mask: masks it as it comes, before anything is cut
    :param hear: is called with the lines that a piece completes
    :ivar is_cut: whether the beginning of the first line that is kept is lost
    :ivar cut_begins: how that line began
    """

    def __init__(
        self,
        limit: int,
        line_limit: int,
        mask: Mask,
        hear: Callable[[list[str]], None],
    ) -> None:
        self.is_cut = False
        self.cut_begins = ""
        self._taken = 0
        self._limit = limit
        self._longest = max(limit, line_limit)
        self._cut_beyond = 2 * limit
        self._masked = MaskedStream(mask)
        self._hear = hear
        self._kept = bytearray()
        self._line = b""

    def take(self, piece: bytes) -> None:
        """Take what the program has written."""
        self._take(self._masked.take(piece))

    def _take(self, piece: bytes) -> None:
        # Programs that draw a bar begin its line anew with a carriage return.
        piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._kept += piece
        self._taken += len(piece)
        if len(self._kept) > self._cut_beyond:
            self._cut()
            self._cut_beyond = 2 * max(self._limit, len(self._kept))  # so that few pieces cost this
        *lines, rest = (self._line + piece).rsplit(b"\n", 1)
        self._line = rest[:LINE_BYTES]
        if lines:
            self._say(lines[0])

    def end(self) -> None:
        """Take it that nothing more comes."""
        self._take(self._masked.end())
        self._cut()
        if self._line:
            self._say(self._line)

    def _say(self, lines: bytes) -> None:
        self._hear([each[:LINE_CHARACTERS] for each in self._text(lines).split("\n")])

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
        """Return the lines that are kept and not blank."""
        return [each for each in self._text(self._kept).split("\n") if each.strip()]

    def text(self) -> str:
        """Return the end of the output as text."""
        return self._text(self._kept[-self._limit :]).strip("\n")

    @property
    def left_out(self) -> int:
        """How many bytes of the output stand before :meth:`text`."""
        return self._taken - min(len(self._kept), self._limit)

    def _text(self, data: bytes | bytearray) -> str:
        return data.decode("utf-8", "replace")

"""The output of the demo, step by step."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text


class Steps:
    """Prints numbered steps: with colours on a terminal, as plain lines to a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._number = 0

    def say(self, text: str, *, apart: bool = True) -> None:
        """Print the next step; with ``apart``, after an empty line."""
        self._number += 1
        self.console.print(f"{chr(10) * apart}[bold cyan]{self._number}[/] {escape(text)}")

    def add(self, line: str, style: str = "") -> None:
        """Print a line that belongs to the step."""
        text = Text(line if self.console.is_terminal else f"  {line}", style)
        self.console.print(Padding.indent(text, 2) if self.console.is_terminal else text)

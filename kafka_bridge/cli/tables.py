"""Tables whose cells are never cut, and whose ids and names are never broken."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

LAST_COLUMN = 24
"""The least width of the last column, in characters, for text to be readable in it."""
ANY_WIDTH = 100_000


def print_rows(
    names: Sequence[str], rows: Sequence[Sequence[str]], console: Console | None = None
) -> None:
    """Print rows under the names of their columns.

    In a file or a pipe, columns are as wide as their cells. On a terminal they are a table in which
    the last column is wrapped between words. If the terminal is too narrow for that, each cell is a
    line, and the terminal wraps what is longer.

    :param rows: cells as plain text; only the last cell of a row may have several lines
    :param console: by default the standard output
    """
    console = console or Console(highlight=False)
    table = _table(names, rows)
    if not console.is_terminal:
        lines = _columns(names, rows)
    elif _needs(table, console) > console.width:
        lines = _blocks(names, rows)
    else:
        console.print(table)
        return
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table()
    for name in names[:-1]:
        table.add_column(name, no_wrap=True)
    table.add_column(names[-1], min_width=LAST_COLUMN)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _needs(table: Table, console: Console) -> int:
    """Return the width at which no word of a table is broken."""
    options = console.options.update(width=ANY_WIDTH)
    return Measurement.get(console, options, table).minimum


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(names)]
    for row in rows:
        first, *others = row[-1].splitlines() or [""]
        lines += [[*row[:-1], first], *([*[""] * (len(row) - 1), each] for each in others)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _blocks(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    width = max(map(cell_len, names))
    lines: list[str] = []
    for row in rows:
        for name, cell in zip(names, row, strict=True):
            first, *others = cell.splitlines() or [""]
            lines += [f"{_padded(name, width)}  {first}", *(f"{'':{width}}  {x}" for x in others)]
        lines.append("")
    return lines


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))

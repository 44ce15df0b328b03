"""Tables: no cell is cut, and no id is broken, however narrow the terminal is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kafka_bridge.cli.tables import print_rows

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
TOPIC = "images.requests.of-a-team-with-a-long-name"
TEXT = "the disk of the service is full, and nobody has made room on it since Monday"
NAMES = ("topic", "job", "error")
ROWS = [(TOPIC, JOB, TEXT), ("b", "–", "two\nlines")]


def printed(width: int, *, terminal: bool) -> str:
    """Return what is printed to a file, or on a terminal of that width."""
    output = io.StringIO()
    console = Console(file=output, width=width, force_terminal=terminal, color_system=None)
    print_rows(NAMES, ROWS, console)
    return output.getvalue()


def test_a_row_is_one_line_in_a_pipe() -> None:
    """The width of a terminal, where there is none, means nothing; columns are aligned."""
    first, second, *others = printed(40, terminal=False).splitlines()
    assert first.split() == ["topic", "job", "error"]
    assert second == f"{TOPIC}  {JOB}  {TEXT}"
    assert others[0].split() == ["b", "–", "two"]
    assert others[1].strip() == "lines"
    assert others[1].index("lines") == second.index(TEXT)
    assert len(others) == 2


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 100, 120, 180, 250])
def test_ids_and_names_are_whole_on_every_terminal(width: int) -> None:
    """What is too long for a line is wrapped by the terminal, which copies it as a whole."""
    text = printed(width, terminal=True)
    for cell in (TOPIC, JOB, "two", "lines"):
        assert cell in text
    assert "…" not in text


def test_wide_terminal_has_a_table_and_a_narrow_one_has_a_line_for_each_cell() -> None:
    """In the table, the last column is wrapped between words."""
    wide, narrow = printed(140, terminal=True), printed(80, terminal=True)
    assert "│" in wide
    assert max(map(len, wide.splitlines())) <= 140
    assert TEXT not in wide
    for word in TEXT.split():
        assert word in wide
    assert narrow.splitlines() == [
        f"topic  {TOPIC}",
        f"job    {JOB}",
        f"error  {TEXT}",
        "",
        "topic  b",
        "job    –",
        "error  two",
        "       lines",
        "",
    ]

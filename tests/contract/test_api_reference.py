"""docs/reference/api.md has every public parameter, with its type and default, and no other."""

from __future__ import annotations

import pytest

from .api_reference import PAGE, Table, rows, sections, tables

TABLES = dict(tables())
COMMAND = "run `python -m tests.contract.api_reference` and write the meanings"


@pytest.mark.parametrize(("heading", "table"), TABLES.items(), ids=TABLES)
def test_page_has_the_signature(heading: str, table: Table) -> None:
    """A reader finds each parameter with its type and default, in the order of the signature."""
    section = sections(PAGE.read_text()).get(heading, "")
    assert [cells[:-1] for cells in rows(section, table.header)] == table.facts, COMMAND


@pytest.mark.parametrize("heading", TABLES)
def test_every_parameter_has_a_meaning(heading: str) -> None:
    """No cell is left empty."""
    section = sections(PAGE.read_text())[heading]
    assert [cells[0] for cells in rows(section, TABLES[heading].header) if not cells[-1]] == []

"""docs/reference/api.md has every public parameter, with its type and default, and no other."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from kafka_bridge import airflow as bridge

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


def test_every_error_is_listed_with_whether_airflow_retries() -> None:
    """The table has the exported errors, and what their base classes mean for retries."""
    errors = {
        name: kind
        for name in bridge.__all__
        if isinstance(kind := getattr(bridge, name), type) and issubclass(kind, Exception)
    }
    retries = {
        name: "no"
        if issubclass(kind, AirflowFailException)
        else "yes"
        if issubclass(kind, AirflowException)
        else ""
        for name, kind in errors.items()
    }
    section = PAGE.read_text().partition("\n## Errors of a task\n")[2].partition("\n## ")[0]
    listed = {cells[0].strip("`"): cells[1] for cells in rows(section, "| error | retries |")}
    assert listed == retries

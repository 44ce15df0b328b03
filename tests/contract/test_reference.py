"""The pages of docs/reference have every public name, with the facts that the source has."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from kafka_bridge import airflow, testing, worker
from kafka_bridge.airflow.settings import OPTIONS
from kafka_bridge.kafka.config import ENV_PREFIX
from kafka_bridge.worker.environment import KNOWN

from .dag_files import blocks, load
from .reference import commands
from .reference.pages import PAGES
from .reference.tables import REFERENCE, Table, rows, sections

COMMAND = "run `make reference`, and write the empty texts"
PACKAGE = Path(__file__).parents[2] / "kafka_bridge"
TABLES = {
    f"{path.stem}: {heading}": (path, heading, table)
    for path, tables in PAGES.items()
    for heading, table in tables().items()
}
OF_OTHER_PAGES = {"KAFKA_BRIDGE_TEST_DEMO"}
"""Set by a test of this project, for itself."""
VARIABLE = re.compile(r"""["'`](KAFKA_BRIDGE_[A-Z_]*[A-Z])["'`]""")


def section(path: Path, heading: str) -> str:
    """Return what is under a heading of a page."""
    return sections(path.read_text(encoding="utf-8")).get(heading, "")


@pytest.mark.parametrize(("path", "heading", "table"), TABLES.values(), ids=TABLES)
def test_page_has_the_facts_of_the_source(path: Path, heading: str, table: Table) -> None:
    """A reader finds each name with its type and default, in the order of the source."""
    found = rows(section(path, heading), table.header)
    facts = [tuple(cell.strip() for cell in each) for each in table.facts]
    assert [cells[: table.width] for cells in found] == facts, COMMAND


@pytest.mark.parametrize(("path", "heading", "table"), TABLES.values(), ids=TABLES)
def test_every_name_is_explained(path: Path, heading: str, table: Table) -> None:
    """No cell of an author is left empty."""
    found = rows(section(path, heading), table.header)
    assert [cells[0] for cells in found if not all(cells[table.width :])] == [], COMMAND


def test_the_page_of_the_command_line_has_every_command() -> None:
    """A command, an option or a help text that is changed is changed on the page, too."""
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), COMMAND


@pytest.mark.parametrize("module", [airflow, worker, testing], ids=lambda each: each.__name__)
def test_every_public_name_is_on_a_reference_page(module: ModuleType) -> None:
    """What a package exports is named as code."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    names = set(re.findall(r"`(\w+)[`(.]|^#+ (\w+)$", text, re.MULTILINE))
    named = {name for pair in names for name in pair}
    assert [name for name in module.__all__ if name not in named] == []


def test_every_option_of_airflows_section_is_on_the_page() -> None:
    """The page on settings has each option of [kafka_bridge], once."""
    table = rows(
        section(REFERENCE / "settings.md", "The section [kafka_bridge]"), "| option | default |"
    )
    assert [cells[0].strip("`") for cells in table] == list(OPTIONS)


def test_every_variable_in_the_source_is_on_the_page() -> None:
    """No module reads a variable that the page does not have."""
    used = {
        name
        for file in PACKAGE.rglob("*.py")
        for name in VARIABLE.findall(file.read_text(encoding="utf-8"))
        if not name.startswith(ENV_PREFIX)
    }
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(KAFKA_BRIDGE_\w+)` \|", page, re.MULTILINE))
    assert used >= set(KNOWN) - OF_OTHER_PAGES
    assert listed == used - OF_OTHER_PAGES


@pytest.mark.parametrize("code", blocks(REFERENCE / "operators.md"))
def test_every_example_of_an_operator_is_a_dag_file(code: str, tmp_path: Path) -> None:
    """A reader can save the block as a file of the DAG folder."""
    (dag,) = load(code, tmp_path).values()
    assert dag.tasks


@pytest.mark.parametrize(
    "code", [*blocks(REFERENCE / "worker.md"), *blocks(REFERENCE / "testing.md")]
)
def test_every_example_of_the_sdk_runs(code: str) -> None:
    """A reader can run the block, and tests in it that need no fixture pass."""
    names: dict[str, object] = {}
    exec(compile(code, "example", "exec"), names)  # noqa: S102  it is our own page
    for name, test in names.items():
        if name.startswith("test_") and not test.__code__.co_argcount:  # type: ignore[attr-defined]
            test()  # type: ignore[operator]

"""Every link between the pages leads to a file and a heading that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"`(?:kafka_bridge/)?((?:airflow|gateway|kafka|protocol|worker)/[\w/]+\.py)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", heading).strip() for heading in HEADING.findall(text))
    return {heading.lower().replace(" ", "-") for heading in plain}


def _broken(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_page = target.suffix == ".md"
        if not target.exists() or (anchor and is_page and anchor not in _anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """A page that is renamed, and a heading that is reworded, do not leave links behind."""
    assert _broken(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    """A decision names the modules that it is about, with or without the package's name."""
    named = MODULE.findall(page.read_text(encoding="utf-8"))
    assert [each for each in named if not (ROOT / "kafka_bridge" / each).exists()] == []


def test_every_term_of_the_glossary_is_in_alphabetical_order_and_there_once() -> None:
    """A reader finds a term where the alphabet puts it."""
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    header, *terms = re.findall(r"^\| ([^|]+?) \|", glossary, re.MULTILINE)
    assert header == "term"
    assert terms == sorted(set(terms))


def test_every_decision_is_listed_with_its_title() -> None:
    """The list of decisions follows the pages, in order."""
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (folder / "README.md").read_text("utf-8"), re.M)
    pages = sorted(folder.glob("0*.md"))
    titles = [
        page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for page in pages
    ]
    assert listed == [(title, page.name) for title, page in zip(titles, pages, strict=True)]

"""Tables of Markdown pages: their facts come from the source, the rest is written by hand.

The first columns of a table are facts. The last columns have texts that an author may change on the
page: they are kept. A table without such columns is written completely.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = DOCS / "reference"
HEADING = re.compile(r"^#{2,4} (.+?)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    :ivar columns: the titles of all columns
    :ivar facts: for each row, the cells that the source decides; the first one identifies the row
    :ivar texts: for each row, the texts of the other cells where the page has none
    """

    columns: tuple[str, ...]
    facts: Sequence[tuple[str, ...]]
    texts: Sequence[tuple[str, ...]] = ()

    @property
    def header(self) -> str:
        """The first line."""
        return f"| {' | '.join(self.columns)} |"

    @property
    def width(self) -> int:
        """How many columns are facts."""
        return len(self.facts[0])

    def text(self, known: dict[str, tuple[str, ...]]) -> str:
        """Return the table in Markdown.

        :param known: texts to use instead, by the row's first cell
        """
        texts = self.texts or [()] * len(self.facts)
        lines = [self.header, "|---" * len(self.columns) + "|"]
        for facts, text in zip(self.facts, texts, strict=True):
            lines.append(f"| {' | '.join((*facts, *known.get(facts[0], text)))} |")
        return "\n".join(lines) + "\n"


Tables = dict[str, Table]
"""The tables of a page, by the heading that they are under."""


def sections(page: str) -> dict[str, str]:
    """Return the text under each heading, without the sections inside it."""
    parts = HEADING.split(page)
    return {
        name.replace("`", ""): text for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def rows(section: str, header: str) -> list[tuple[str, ...]]:
    """Return the cells of a section's table."""
    cells = []
    for line in section.partition(header)[2].splitlines()[2:]:
        if not line.startswith("|"):
            break
        cells.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
    return cells


def updated(page: str, tables: Tables) -> str:
    """Return a page with its tables as the source has them; a new one is added at the end."""
    for heading, table in tables.items():
        section = sections(page).get(heading)
        if section is None or table.header not in section:
            page += f"\n## {heading}\n\n{table.text({})}"
            continue
        known = {
            cells[0]: cells[table.width :]
            for cells in rows(section, table.header)
            if table.texts and len(cells) == len(table.columns)
        }
        pattern = re.escape(table.header) + r"\n(?:\|.*\n)+"
        new = re.sub(pattern, table.text(known).replace("\\", r"\\"), section)
        page = page.replace(section, new)
    return page


def plain(text: str) -> str:
    """Return a docstring's text as Markdown in one line, for a cell."""
    text = re.sub(r":\w+:`[.~]*(?:\w+\.)*(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|").removesuffix(".")


def code(text: str) -> str:
    """Return a text as code, for a cell; nothing for an empty text."""
    return f"`{text}`".replace("|", "\\|") if text else ""

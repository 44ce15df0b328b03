"""Makes the tables of a page readable on any screen, together with site.css.

On a narrow screen each cell names its column. On a wide one, long code may break at its signs.
"""

from __future__ import annotations

import html
import re

TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
HEADER = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
CELL = re.compile(r"<td([^>]*)>")
CODE = re.compile(r"(<code>)([^<]{26,})(</code>)")
SIGN = re.compile(r"(?<=[/_.,\[?=-])(?=[^\s,])")
TAG = re.compile(r"<[^>]+>")


def readable_tables(content: str) -> str:
    """Return a page's HTML with better tables.

    Cells have the attribute ``data-column``. A ``|`` in code loses the backslash that GitHub needs.
    """
    return TABLE.sub(lambda table: _table(table[0].replace("\\|", "|")), content)


def _table(table: str) -> str:
    columns = [TAG.sub("", title).strip() for title in HEADER.findall(table)]
    table = CODE.sub(lambda code: f"{code[1]}{SIGN.sub('<wbr>', code[2])}{code[3]}", table)
    return ROW.sub(lambda row: _row(row[0], columns), table)


def _row(row: str, columns: list[str]) -> str:
    titles = iter(columns)

    def name(cell: re.Match[str]) -> str:
        title = html.escape(html.unescape(next(titles, "")), quote=True)
        return f'<td{cell[1]} data-column="{title}">'

    return CELL.sub(name, row)

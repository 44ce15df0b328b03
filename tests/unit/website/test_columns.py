"""Tables of the site name their columns, and long code in them may break."""

from __future__ import annotations

from website.columns import readable_tables

TABLE = """<table>
<thead><tr>
<th>option</th>
<th style="text-align: left;"><code>default</code> &amp; more</th>
</tr></thead>
<tbody><tr><td><code>{code}</code></td><td style="text-align: left;">10</td></tr></tbody>
</table>"""


def test_each_cell_names_its_column() -> None:
    """A narrow screen shows the title beside the cell."""
    shown = readable_tables(TABLE.format(code="a"))
    assert '<td data-column="option"><code>a</code></td>' in shown
    assert '<td style="text-align: left;" data-column="default &amp; more">10</td>' in shown


def test_a_bar_in_code_has_no_backslash() -> None:
    """GitHub needs the backslash; the site would show it."""
    assert "<code>int | None</code>" in readable_tables(TABLE.format(code="int \\| None"))


def test_long_code_may_break_after_its_signs_and_short_code_not() -> None:
    """A long address does not make its column wide, and a name stays whole."""
    address = "https://kafka.example.com/topics/a?key=b"
    shown = readable_tables(TABLE.format(code=address))
    assert "topics/<wbr>a?<wbr>key=<wbr>b" in shown
    assert shown.replace("<wbr>", "").count(address) == 1
    assert "<wbr>" not in readable_tables(TABLE.format(code="schedule_to_start_timeout"))


def test_text_outside_tables_stays_as_it_is() -> None:
    """A paragraph is not a table."""
    assert readable_tables("<p>a \\| b</p>") == "<p>a \\| b</p>"

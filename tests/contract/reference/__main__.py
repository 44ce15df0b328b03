"""``make reference``: write the facts of the source into the pages of docs/reference."""

from __future__ import annotations

from . import commands
from .pages import PAGES
from .tables import updated

if __name__ == "__main__":
    for path, tables in PAGES.items():
        path.write_text(updated(path.read_text("utf-8"), tables()), "utf-8")
    commands.PAGE.write_text(commands.page(), "utf-8")

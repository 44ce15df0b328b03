"""The page is made of the board's own files: nothing from elsewhere, no code in the document."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from kafka_bridge.board.page import STATIC

FILES = sorted(STATIC.iterdir())
TEXTS = {each.name: each.read_text(encoding="utf-8") for each in FILES}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
NAMESPACE = "http://www.w3.org/2000/svg"
"""A name, from which nothing is loaded."""


class Document(HTMLParser):
    """Collects what a document loads and what it has of code and style."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attrs:
            if name in {"src", "href"} and tag != "a":
                self.loaded.append(value or "")
            if name.startswith("on") or name in {"style", "srcdoc"}:
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.fixture
def document() -> Document:
    """Give the page."""
    found = Document()
    found.feed(TEXTS["index.html"])
    return found


def test_document_has_no_code_and_no_style(document: Document) -> None:
    """The content security policy would not run it."""
    assert document.inline == []


def test_document_loads_only_files_that_are_there(document: Document) -> None:
    """By relative addresses, so that it works under any path."""
    assert len(document.loaded) == 4
    assert [each for each in document.loaded if not each.startswith("static/")] == []
    assert [each for each in document.loaded if not (STATIC.parent / each).is_file()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_no_file_names_another_host(name: str) -> None:
    """The page works where there is no internet, and tells no one that it is open."""
    text = TEXTS[name].replace(NAMESPACE, "")
    assert re.findall(r"""(?:https?:)?//[\w.-]+\.\w+|@import|url\(""", text) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_write_text_and_no_markup(name: str) -> None:
    """What comes from Kafka cannot become an element or code."""
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    )
    assert re.findall(forbidden, SCRIPTS[name]) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_import_modules_that_export_the_names(name: str) -> None:
    """A name that is misspelt would leave the page empty."""
    for names, module in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', SCRIPTS[name]):
        for each in filter(None, map(str.strip, names.split(","))):
            assert re.search(
                rf"export (?:async )?(?:function|class|const) {each}\b", SCRIPTS[module]
            )
    assert re.findall(r'import\("|import "', SCRIPTS[name]) == []


def test_the_test_sees_the_scripts() -> None:
    """There are several."""
    assert len(SCRIPTS) > 5

"""The page about finding faults shows what the code prints, and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kafka_bridge.cli.app import app

from .user_texts import user_texts

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "troubleshoot.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "the doctor prints" not in line
]
PRINTED = sorted({span for row in ROWS for span in re.findall(r"`([^`]+)`", row[1])})
COMMANDS = sorted(set(re.findall(r"^\$ (kafka-bridge .*?)(?:  .*)?$", PAGE, flags=re.MULTILINE)))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Give all texts of the package."""
    return [each.text for each in user_texts()]


def test_the_table_is_found() -> None:
    """More than a dozen symptoms, each with what the doctor prints."""
    assert len(ROWS) > 12
    assert all(len(row) == 3 for row in ROWS)
    assert len(PRINTED) > 20
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("words", PRINTED)
def test_every_finding_on_the_page_is_one_that_the_code_prints(
    words: str, texts: list[str]
) -> None:
    """A text that is reworded is reworded on the page, too."""
    pattern = ".*".join(map(re.escape, words.split("…")))
    assert any(re.search(pattern, text) for text in texts), words


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_the_page_exists(command: str) -> None:
    """With its side."""
    words = command.split()[1:3]
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0

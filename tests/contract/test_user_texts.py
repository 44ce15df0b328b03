"""Texts for users are plain English: the private dialect of early versions does not return."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .user_texts import UserText, user_texts

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "docs" / "benchmarks.md"  # written by `make bench`
CHANGELOG = ROOT / "CHANGELOG.md"  # it quotes what was
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {BENCHMARKS, CHANGELOG})

# Each pattern with what to write in its place. Logs and errors are read at three in the morning,
# by people for whom English is a second language, too.
DIALECT = {
    r"(?<![Tt]here )\b(is|are|was|were) no (?!longer\b|more\b)": "'is not a …'",
    r"\banew\b": "'again'",
    r"\bso many\b": "the number, or 'N'",
    r"\bbut for\b": "'except'",
    r"\bfor good\b": "'non-retryable', or 'permanently'",
    r"\bno sooner than\b": "'not before'",
    r"\bcould not be said\b": "'Publishing … failed'",
    r"\b(cannot|could not) be learnt\b|\blearns?\b|\blearnt\b": "'read' or 'know'",
    r"\b(hear|hears|heard)\b": "'read' or 'receive'",
    r"\btold (?!to\b)": "'notified', 'published' or 'logged'",
    r"\bwhoever\b": "name the subject",
    r"^(Who|What|Whoever) (?!.*\?)": "name the subject",
    r"\b(set|put) aside\b": "'write to the dead-letter topic'",
    r"\bpassed over\b": "'skipped'",
    r"\bgives? up\b|\bgave up\b|\bgiven up\b": "'abandon' or 'release'",
    r"\bstand-ins?\b": "'handover heartbeat'",
    r"\blonger than nothing\b": "'greater than 0 s'",
    r"\bOnly then (is|are|does|do)\b": "subject first",
    r"\bfor ever\b": "'forever', or 'no limit'",
    r"\bhand(s|ed|ing)? (it |them |the job )?back\b": "'release'",
    r"\b(falls?|fell) silent\b": "'publishes nothing', or 'stopped responding'",
    r"\b(take|takes|taken|took) (it |them )?up\b": "'reattach', 'accept' or 'start'",
    r"\bstock (service|reply|replies)\b": "'plain reply'",
    r"\b[Tt]ime-outs?\b(?!\.md)": "'timeout', as the parameters are called",
    r"\bnobody\b": "'no worker', 'no group': name the subject",
    r"\b(stand|stands|stood) (in|under|at|on)\b": "'is in'",
    r"\bfor want of\b": "'because of missing …'",
    r"\bis for \w[\w ]* to (say|know|decide)\b": "'… decides'",
    r"\bmade anew\b|\bof ours\b|\bgood for\b": "'created again', 'our', 'valid for'",
}


@pytest.fixture(scope="module")
def texts() -> list[UserText]:
    """Give all texts of the package."""
    return user_texts()


def test_texts_for_users_are_plain_english(texts: list[UserText]) -> None:
    """No log line, error, help or output uses one of the patterns."""
    found = [
        f"{each.path}:{each}\n      write {instead}"
        for pattern, instead in DIALECT.items()
        for each in texts
        if re.search(pattern, each.text)
    ]
    assert found == [], "\n".join(found)


def test_pages_are_plain_english() -> None:
    """No page uses one of the patterns."""
    found = [
        f"{page.relative_to(ROOT)}:{number} {line}\n      write {instead}"
        for page in PAGES
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        for pattern, instead in DIALECT.items()
        if re.search(pattern, line)
    ]
    assert found == [], "\n".join(found)


def test_every_kind_of_text_is_found(texts: list[UserText]) -> None:
    """The test sees logs, errors, the command line's help and output."""
    assert {each.kind for each in texts} >= {"log", "error", "help", "output", "text"}


def log_lines() -> Iterator[str]:
    """Yield the lines of task logs on the pages."""
    for page in PAGES:
        for block in re.findall(
            r"^```text\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S
        ):
            for line in block.splitlines():
                if not line[0].isdigit():  # progress, which is put together from parts
                    yield line


FILLED_IN = re.compile(r"%[sd]|\{.*?\}")


def test_every_log_line_on_a_page_is_one_that_the_code_writes(texts: list[UserText]) -> None:
    """A page that shows a task's log follows when a text is reworded."""
    parts = (FILLED_IN.split(each.text) for each in texts if each.kind in {"log", "text"})
    patterns = [
        ".+".join(map(re.escape, literals))
        for literals in parts
        if re.search(r"\w", "".join(literals))
    ]
    lines = list(log_lines())
    assert len(lines) > 5
    unknown = [line for line in lines if not any(re.fullmatch(each, line) for each in patterns)]
    assert unknown == []

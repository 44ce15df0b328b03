"""Turns the reStructuredText that docstrings use into Markdown."""

from __future__ import annotations

import re

ROLE = re.compile(r":(?:\w+:)*\w+:`~?([^`]+)`")
LITERAL = re.compile(r"^( *)(.*?)::$", re.MULTILINE)


def markdown(docstring: str) -> str:
    """Return a docstring with roles as code, and with literal blocks as indented code."""
    text = ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", docstring)
    text = LITERAL.sub(lambda line: f"{line[1]}{line[2]}:" if line[2] else "", text)
    return text.replace("``", "`")

"""Every text that a user of the package sees, collected from its source code.

``python tests/contract/user_texts.py`` prints them, file by file, to be read side by side: log
lines, the texts of errors, the help of the command line, and what it prints.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "kafka_bridge"
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
PRINTING = frozenset({"print", "echo", "secho"})
ERROR_ENDINGS = ("Error", "Exception", "Failure")
WORDS_OF_A_SENTENCE = 4

Found = tuple[str, ast.expr | ast.stmt, str]
"""The kind of a text, where it is in the tree, and the text."""


@dataclass(frozen=True, order=True)
class UserText:
    """One text: where it is, its kind (log, error, help, output, or another text), and the text."""

    path: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        text = self.text.encode("utf-8", "backslashreplace").decode()
        return f"{self.line:5} {self.kind:6} {text}"


def user_texts(package: Path = PACKAGE) -> list[UserText]:
    """Return all texts of a package, by file and line."""
    return sorted(
        {
            UserText(path.relative_to(package.parent), line, kind, text)
            for path in package.rglob("*.py")
            for kind, line, text in _texts(ast.parse(path.read_text(encoding="utf-8")))
        }
    )


def _texts(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield the texts of a module: those with a known reader, then all other sentences."""
    seen = {id(node) for docstring in _docstrings(tree) for node in ast.walk(docstring)}
    for node in ast.walk(tree):
        for kind, part, text in _known(node):
            seen.update(id(each) for each in ast.walk(part))
            yield kind, part.lineno, text
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and id(node) not in seen and (sentence := _text(node)):
            seen.update(id(each) for each in ast.walk(node))
            if len(sentence.split()) >= WORDS_OF_A_SENTENCE:
                yield "text", node.lineno, sentence


def _docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node


def _known(node: ast.AST) -> Iterator[Found]:
    """Yield the texts of a node whose reader is known from what is done with them."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield from _arguments("error", node.exc)
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _help_of(node)


def _of_call(call: ast.Call) -> Iterator[Found]:
    name = _name(call.func)
    if isinstance(call.func, ast.Attribute) and name in LOG_METHODS:
        yield from _arguments("log", call)
    elif name in PRINTING:
        yield from _arguments("output", call)
    elif name.endswith(ERROR_ENDINGS):
        yield from _arguments("error", call)
    for keyword in call.keywords:
        if keyword.arg == "help" and (text := _text(keyword.value)):
            yield "help", keyword.value, text


def _help_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Found]:
    """Yield the docstring of a command, which is its help."""
    decorators = (each.func for each in function.decorator_list if isinstance(each, ast.Call))
    text = ast.get_docstring(function)
    if text and any(_name(each) in {"command", "callback"} for each in decorators):
        yield "help", function.body[0], " ".join(text.split())


def _arguments(kind: str, call: ast.Call) -> Iterator[Found]:
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        if text := _text(argument):
            yield kind, argument, text


def _text(node: ast.expr) -> str | None:
    """Return a text as its reader sees it, with the code of what is filled in; None: no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or f"{{{_filled_in(part)}}}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return f"{left or '…'}{right or '…'}" if left or right else None
    if isinstance(node, ast.IfExp):
        texts = [text for each in (node.body, node.orelse) if (text := _text(each))]
        return " / ".join(texts) or None
    return None


def _filled_in(part: ast.expr) -> str:
    return ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""


def _name(function: ast.expr) -> str:
    """Return the last name of what is called."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _print_all() -> None:
    before = None
    for each in user_texts():
        if each.path != before:
            sys.stdout.write(f"\n{each.path}\n")
            before = each.path
        sys.stdout.write(f"{each}\n")


if __name__ == "__main__":
    _print_all()

"""Parses YAML into values, with the line of each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode
from yaml.composer import ComposerError
from yaml.reader import ReaderError

_TAG = "tag:yaml.org,2002:"
MAX_NODES = 100_000
"""The limit of values in a document with aliases and merge keys expanded: twenty lines of them can
mean millions of values."""
_PLAIN_KEY = re.compile(r"[\w.-]+")


class _Loader(yaml.SafeLoader):
    """Recognises numbers, true, false and null as YAML 1.2 does; yes, no and dates are strings.

    Tags are refused: PyYAML would fail at ``!!int x`` without a useful message.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  as in the base class

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            words = "found a tag (a word that begins with '!')"
            raise ComposerError(None, None, words, event.start_mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(f"^({_pattern})$"), _first)


class YamlError(Exception):
    """A text is not YAML, or not supported. ``line`` counts from 1; ``words`` is the message."""

    def __init__(self, line: int, words: str) -> None:
        self.line = line
        self.words = words
        super().__init__(f"line {line}: {words}")


@dataclass(frozen=True, slots=True)
class NodeLocation:
    """The location of a node: its line (from 1), the keys that lead to it, and the node itself.

    ``is_key``: the node is the last of the keys, not its value.
    """

    line: int
    keys: tuple[str | int, ...]
    node: Node
    is_key: bool = False

    def __str__(self) -> str:
        """Return the keys in dotted form: ``jobs.files.audit.command[0]``."""
        text = ""
        for key in self.keys:
            if isinstance(key, int):
                text += f"[{key}]"
            else:
                text += "." * bool(text) + (key if _PLAIN_KEY.fullmatch(key) else repr(key))
        return text


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML text: its values, and the location of each of them."""

    value: Any
    root: Node

    def place(self, location: Sequence[str | int]) -> NodeLocation:
        """Return the node at a location in pydantic's form.

        Steps without a node are ignored: the tags of unions, and missing keys.
        """
        place = _top(self.root)
        for step in location:
            place = _below(place, step) or place
        return place


def _top(root: Node) -> NodeLocation:
    return NodeLocation(_line(root), (), root)


def _below(place: NodeLocation, step: str | int) -> NodeLocation | None:
    node = place.node
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return NodeLocation(_line(item), (*place.keys, step), item)
    if isinstance(node, MappingNode):
        for key, value in reversed(
            node.value
        ):  # merged keys come first and are overridden by later ones
            if key.value == step:
                return NodeLocation(_line(key), (*place.keys, key.value), value)
    if step == "[key]":
        return NodeLocation(
            place.line, place.keys, ScalarNode(f"{_TAG}str", place.keys[-1]), is_key=True
        )
    return None


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def parse(text: str) -> tuple[Document, list[YamlError]]:
    """Parse a YAML text; return the document and the errors for duplicate keys.

    :raises YamlError: the text is not YAML, or is empty
    """
    try:
        return _parsed(_Loader(text))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from None
    except ReaderError as error:
        words = f"the character U+{error.character:04X} is not allowed in YAML"
        raise YamlError(text.count("\n", 0, error.position) + 1, words) from None
    except RecursionError:
        raise YamlError(1, "the document is nested too deeply") from None


def _parsed(loader: _Loader) -> tuple[Document, list[YamlError]]:
    root = loader.get_single_node()
    if root is None:
        raise YamlError(1, "the file is empty")
    _check_size(root)
    duplicates = [error for mapping in _mappings(root) for error in _check_keys(mapping)]
    return Document(loader.construct_document(root), root), duplicates


def _check_size(root: Node) -> None:
    """Check the size of a document with its aliases expanded.

    :raises YamlError: it has more than ``MAX_NODES`` values, or refers to itself
    """
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        if id(node) in sizes:
            stack.pop()
            continue
        parts = _children(node)
        missing = [part for part in parts if id(part) not in sizes]
        if missing:
            if id(node) in begun:
                raise YamlError(_line(node), "an alias refers to itself: write the value out")
            begun.add(id(node))
            stack += missing
            continue
        sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
        if sizes[id(node)] > MAX_NODES:
            words = f"with its aliases expanded, the document has more than {MAX_NODES:,} values"
            raise YamlError(_line(node), f"{words}: use fewer aliases")


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _mappings(root: Node) -> Iterator[NodeLocation]:
    """Yield each mapping once, even if it has several aliases."""
    seen: set[int] = set()
    left = [_top(root)]
    while left:
        place = left.pop()
        if isinstance(place.node, ScalarNode) or id(place.node) in seen:
            continue
        seen.add(id(place.node))
        if isinstance(place.node, MappingNode):
            yield place
        left += _parts(place)


def _parts(place: NodeLocation) -> Iterator[NodeLocation]:
    if isinstance(place.node, MappingNode):
        for key, value in place.node.value:
            yield NodeLocation(_line(key), (*place.keys, key.value), value)
    else:
        for number, item in enumerate(place.node.value):
            yield NodeLocation(_line(item), (*place.keys, number), item)


def _check_keys(mapping: NodeLocation) -> Iterator[YamlError]:
    """Convert all keys to strings, also 404 and true; yield errors for duplicate keys."""
    lines: dict[str, int] = {}
    for key, _ in mapping.node.value:
        if not isinstance(key, ScalarNode):
            raise YamlError(_line(key), "expected a string as a key: put it in quotes")
        if key.tag == f"{_TAG}merge":
            continue
        key.tag = f"{_TAG}str"
        if key.value in lines:
            place = NodeLocation(_line(key), (*mapping.keys, key.value), key)
            yield YamlError(
                place.line, f"{place}: duplicate key, already used in line {lines[key.value]}"
            )
        lines.setdefault(key.value, _line(key))


_ADVICE = (
    (r"'\\t'", "indent YAML with spaces, not with tabs"),
    (r"found character|undefined alias|found a tag", "put the value in quotes"),
    (r"mapping values are not allowed", "put a string that contains ': ' in quotes"),
    (
        r"expected <block end>",
        "its indentation differs from the lines above, or a value needs quotes",
    ),
    (r"expected ',' or|end of stream", "a bracket or quote is not closed"),
    (r"another document", "use one document only"),
)


def _syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    """Return PyYAML's message without its excerpt of the file, which may contain a secret."""
    mark, begun = error.problem_mark, error.context_mark
    assert mark is not None  # noqa: S101  all errors have one
    words = error.problem or ""
    if begun is not None and error.context is not None:
        since = f" in line {begun.line + 1}" if begun.line != mark.line else ""
        words = f"{error.context}{since}: {words}"
    advice = [text for pattern, text in _ADVICE if re.search(pattern, words)][:1]
    return YamlError(mark.line + 1, "; ".join([f"invalid YAML: {words}", *advice]))

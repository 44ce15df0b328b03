"""JMESPath expressions, and templates with expressions in braces.

The file uses them to build requests from a job, and to read values from answers. JMESPath is
specified at https://jmespath.org. The braces are those of Python's format strings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from pydantic import BeforeValidator

from kafka_bridge.gateway.field_types import expect

Scope: TypeAlias = Mapping[str, Any]
"""The JSON values that an expression can use, by name."""

_FIRST_CHILD_ONLY = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection"}
    | {"flatten", "pipe"}
)
"""JMESPath nodes of which only the first child uses the scope; the others use its result."""


class ExpressionFailed(Exception):
    """An expression cannot be applied to its input. The message contains it and the reason."""


@dataclass(frozen=True, slots=True)
class JmesPath:
    """A JMESPath expression: its text and its parsed form."""

    text: str
    parsed: ParsedResult

    @classmethod
    def parse(cls, text: object) -> JmesPath:
        """Parse an expression.

        :raises ValueError: the text is not an expression
        """
        if not isinstance(text, str):
            expect("a string with a JMESPath expression")
        try:
            return cls(text, jmespath.compile(text))
        except JMESPathError as error:
            message = " ".join(str(error).split())
            raise ValueError(f"{text!r} is not a JMESPath expression: {message}") from None

    def search(self, scope: Any) -> Any:
        """Return the value that the expression finds, None if there is none.

        :raises ExpressionFailed: a function was given a value of the wrong type
        """
        try:
            return self.parsed.search(scope)
        except JMESPathError as error:
            message = " ".join(str(error).split())
            raise ExpressionFailed(
                f"the expression {self.text!r} cannot be applied: {message}"
            ) from None

    def names(self) -> frozenset[str]:
        """Return the names of the scope that it uses."""
        return frozenset(_names(self.parsed.parsed))


def _names(node: Mapping[str, Any]) -> Iterator[str]:
    if node["type"] == "field":
        yield node["value"]
        return
    children = node["children"]
    for child in children[:1] if node["type"] in _FIRST_CHILD_ONLY else children:
        yield from _names(child)


@dataclass(frozen=True, slots=True)
class Template:
    """A text with JMESPath expressions in braces: ``/jobs/{job_id}``; ``{{`` is a literal brace."""

    text: str
    parts: tuple[str | JmesPath, ...]

    @classmethod
    def parse(cls, text: object) -> Template:
        """Parse a template.

        :raises ValueError: the text is not a template
        """
        if not isinstance(text, str):
            expect("a string")
        return cls(text, tuple(_parts(text)))

    def render(self, scope: Scope, escape: Callable[[str], str] = str) -> str:
        """Return the text with the expressions replaced by their values.

        :param escape: is applied to each value
        :raises ExpressionFailed: a value is null, or an expression cannot be applied
        """
        return "".join(
            part if isinstance(part, str) else escape(_text(part, scope)) for part in self.parts
        )

    def render_list(self, scope: Scope) -> list[str]:
        """Return the rendered text as a list with one item.

        If the template is a single expression with a list as its value, return one text per item.

        :raises ExpressionFailed: a value or an item is null, or an expression cannot be applied
        """
        if len(self.parts) == 1 and isinstance(only := self.parts[0], JmesPath):
            value = only.search(scope)
            if isinstance(value, list):
                return [_text_of(item, only) for item in value]
        return [self.render(scope)]

    def names(self) -> frozenset[str]:
        """Return the names of the scope that its expressions use."""
        return frozenset().union(*(p.names() for p in self.parts if isinstance(p, JmesPath)))


def _parts(text: str) -> Iterator[str | JmesPath]:
    try:
        fields = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}. Write a literal brace twice") from None
    for literal, expression, after_colon, after_bang in fields:
        if literal:
            yield literal
        if expression is None:
            continue
        if after_colon or after_bang or not expression.strip():
            raise ValueError(
                f"{text!r}: braces must contain a JMESPath expression, without ':' and '!'; write "
                "a literal brace twice"
            )
        yield JmesPath.parse(expression)


def _text(expression: JmesPath, scope: Scope) -> str:
    return _text_of(expression.search(scope), expression)


def _text_of(value: Any, expression: JmesPath) -> str:
    if value is None:
        raise ExpressionFailed(f"{{{expression.text}}} is null or missing")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def path_segment(text: str) -> str:
    """Escape a value for a URL, so that it stays one path segment or parameter.

    :raises ExpressionFailed: the value is empty, ``.`` or ``..``, which mean another path even if
        they are escaped (RFC 3986, section 5.2.4); or it contains half a character
    """
    if text in {"", ".", ".."}:
        raise ExpressionFailed(f"{text!r} cannot be part of a URL's path")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise ExpressionFailed(
            f"{text!a} cannot be part of a URL: it contains a lone surrogate"
        ) from None


Expression = Annotated[JmesPath, BeforeValidator(JmesPath.parse)]
TextTemplate = Annotated[Template, BeforeValidator(Template.parse)]

"""JMESPath expressions, and texts that hold some in braces: how the file says what goes where.

One language for both directions: it picks values out of answers, and out of the job for requests.
JMESPath is specified at https://jmespath.org; the braces are those of Python's format strings.
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
"""What an expression sees: JSON values by name."""

_FIRST_CHILD_ONLY = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection"}
    | {"flatten", "pipe"}
)
"""Of these JMESPath nodes only the first child looks at the scope: the others at what it found."""


class ExpressionFailed(Exception):
    """An expression cannot be used on what it was given; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class JmesPath:
    """A JMESPath expression, as it was written and parsed."""

    text: str
    parsed: ParsedResult

    @classmethod
    def parse(cls, text: object) -> JmesPath:
        """Return the expression that a text is.

        :raises ValueError: it is none
        """
        if not isinstance(text, str):
            expect("a string with a JMESPath expression")
        try:
            return cls(text, jmespath.compile(text))
        except JMESPathError as error:
            said = " ".join(str(error).split())
            raise ValueError(f"{text!r} is not a JMESPath expression: {said}") from None

    def search(self, scope: Any) -> Any:
        """Return what the expression finds, None where there is nothing.

        :raises ExpressionFailed: a function of it cannot take what it is given
        """
        try:
            return self.parsed.search(scope)
        except JMESPathError as error:
            said = " ".join(str(error).split())
            raise ExpressionFailed(f"the expression {self.text!r} cannot be used: {said}") from None

    def names(self) -> frozenset[str]:
        """Return the names of the scope that it looks at."""
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
    """A text with JMESPath expressions in braces: ``/jobs/{job_id}``; ``{{`` is a brace."""

    text: str
    parts: tuple[str | JmesPath, ...]

    @classmethod
    def parse(cls, text: object) -> Template:
        """Return the template that a text is.

        :raises ValueError: it is none
        """
        if not isinstance(text, str):
            expect("a string")
        return cls(text, tuple(_parts(text)))

    def render(self, scope: Scope, escape: Callable[[str], str] = str) -> str:
        """Return the text with the values of its expressions in their places.

        :param escape: is applied to each value
        :raises ExpressionFailed: one of them is null, or cannot be used
        """
        return "".join(
            part if isinstance(part, str) else escape(_text(part, scope)) for part in self.parts
        )

    def render_list(self, scope: Scope) -> list[str]:
        """Return the texts that it stands for: one, as a rule.

        Where it is one expression and nothing else, and its value is a list, there is a text for
        each item.

        :raises ExpressionFailed: a value or an item is null, or an expression cannot be used
        """
        if len(self.parts) == 1 and isinstance(only := self.parts[0], JmesPath):
            value = only.search(scope)
            if isinstance(value, list):
                return [_text_of(item, only) for item in value]
        return [self.render(scope)]

    def names(self) -> frozenset[str]:
        """Return the names of the scope that its expressions look at."""
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
    """Escape a value for a URL, so that it stays within its place: a segment, or a parameter.

    :raises ExpressionFailed: it is empty, ``.`` or ``..``: no escape keeps those from being
        another path (RFC 3986, section 5.2.4); or it has half a character in it
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

"""Reads and checks the gateway's file; reports all its errors at once, with their lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml import CollectionNode, Node, ScalarNode

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.field_types import EXPECTED
from kafka_bridge.gateway.yaml_document import Document, NodeLocation, YamlError, parse
from kafka_bridge.protocol.errors import ConfigurationError

_MAPPING = "a mapping"
_EXPECTED = {
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": "a list",
    "frozen_set_type": "a list",
    "string_type": "a string",
    "string_too_short": "a string that is not empty",
    "too_short": "at least one",
    "path_type": "a path",
    "path_not_file": "the path of an existing file",
    "path_not_directory": "the path of an existing folder",
}
"""The expected value for each type of error in pydantic."""

_KINDS = {
    "map": _MAPPING,
    "seq": "a list",
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
}
"""The names of YAML's types in our messages."""

_UNSHOWN = frozenset({"auth", "env", "environment", "headers", "secret"})
"""Values below these keys are not shown: they may be secrets in the wrong place."""

Keys: TypeAlias = tuple[int | str, ...]
_SHOWN_CHARACTERS = 60
_UNION_TAG = re.compile(r"\(\w+\)|\[key\]")
_FOR_ANCHORS = "x-"


def load(path: Path) -> GatewayConfig:
    """Read the configuration of a gateway from a file.

    Top-level keys that begin with ``x-`` are for YAML anchors; they are ignored.

    :raises ConfigurationError: the file cannot be read or contains errors. The message has one line
        per error: file, line, keys, the expected and the actual value
    """
    try:
        document, duplicates = parse(_text(path))
    except YamlError as error:
        raise _refusal(path, [error]) from None
    value = _relevant(document.value)
    try:
        config = GatewayConfig.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        hidden = _hidden_errors(value, errors)
        found = [_in_file(each, document) for each in (*errors, *hidden)]
        raise _refusal(path, [*duplicates, *found]) from None
    if duplicates:
        raise _refusal(path, duplicates)
    return config


def _hidden_errors(value: Any, errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return further errors. A part with an error is not checked against the others.

    The file is therefore checked again without the refused values. Errors that are caused by their
    absence are not reported.
    """
    left_out = [_keys(error) for error in errors]
    try:
        GatewayConfig.model_validate(_without(value, left_out))
    except ValidationError as error:
        return [
            each
            for each in error.errors(include_url=False)
            if not any(keys[: len(_keys(each))] == _keys(each) for keys in left_out)
        ]
    return []


def _keys(error: ErrorDetails) -> Keys:
    """Return the keys that lead to an error, without pydantic's tags of unions."""
    return tuple(each for each in error["loc"] if not _UNION_TAG.fullmatch(str(each)))


def _without(value: Any, places: list[Keys]) -> Any:
    """Return a copy of a value without the parts at these places."""
    if isinstance(value, dict):
        parts = [(key, part, _below(key, places)) for key, part in value.items()]
        return {key: _without(part, below) for key, part, below in parts if () not in below}
    if isinstance(value, list):
        items = [(part, _below(number, places)) for number, part in enumerate(value)]
        return [_without(part, below) for part, below in items if () not in below]
    return value


def _below(step: int | str, places: list[Keys]) -> list[Keys]:
    return [place[1:] for place in places if place and place[0] == step]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error}") from error


def _relevant(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if not key.startswith(_FOR_ANCHORS)}


def _refusal(path: Path, errors: list[YamlError]) -> ConfigurationError:
    errors = sorted(errors, key=lambda error: (error.line, error.words))
    return ConfigurationError("\n".join(f"{path}:{each.line}: {each.words}" for each in errors))


def _in_file(error: ErrorDetails, document: Document) -> YamlError:
    place = document.place(error["loc"])
    words = _words(error, place)
    return YamlError(place.line, f"{place}: {words}" if place.keys else words)


def _words(error: ErrorDetails, place: NodeLocation) -> str:
    kind, context = error["type"], error.get("ctx", {})
    is_secret = not _UNSHOWN.isdisjoint(place.keys) and not place.is_key
    if kind == "missing":
        return f"{error['loc'][-1]} is missing"
    if kind == "value_error":
        message = str(context["error"])
        return message.replace(repr(place.node.value), "the value") if is_secret else message
    what = context["what"] if kind == EXPECTED else _EXPECTED.get(kind, context.get("expected"))
    if what is None:
        return error["msg"]
    is_shown = not is_secret and what != _MAPPING  # signature: s3cret is as likely as auth: s3cret
    return f"expected {what}{_instead(place.node, is_shown=is_shown)}{_quotes(what, place.node)}"


def _instead(node: Node, *, is_shown: bool) -> str:
    """Return the actual value as text, or its type if it must not be shown."""
    kind = node.tag.rpartition(":")[2]
    if kind == "null" or not node.value:
        return ", but it is empty"
    if not is_shown or not isinstance(node, ScalarNode):
        return f", not {_KINDS.get(kind, kind)}"
    text = node.value[:_SHOWN_CHARACTERS]
    return f", not {text!r}" if kind == "str" else f", not {text}"


def _quotes(what: str, node: Node) -> str:
    """Return advice if a value may be meant as a string, but has another type in YAML."""
    is_text = node.tag.endswith(":str")
    in_line = not isinstance(node, CollectionNode) or node.flow_style
    mistaken = what.startswith("a string") and not is_text and in_line and node.value
    return "; put it in quotes" if mistaken else ""

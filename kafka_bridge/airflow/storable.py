r"""Finds the parts of a value that Airflow cannot store.

Airflow stores values as JSON in its database; they pass through msgpack and pydantic before.
None of the three accepts every Python value, and the consequence is worse than an error: a task
whose job succeeded fails without a reason, or a triggerer or a DAG processor exits. So the bridge
checks first.

==================================  ===============================================================
NUL in a text or a key              Postgres' ``jsonb`` has no ``\u0000``
a lone surrogate                    it has no UTF-8 form
NaN, infinity                       they are not JSON (RFC 8259, section 6)
an integer of more than 64 bits     msgpack has none
a float beyond that, such as 1e30   ``jsonb`` returns it as an integer to the task that pulls it
more than 200 levels                pydantic gives up at 255; Airflow's messages need some of them
``__classname__``, ``__id__``;      ``airflow.sdk.serde`` takes such an object for one that it has
``__type`` with ``__var``           written itself: it refuses it, or makes something else of it
==================================  ===============================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line

MAX_LEVELS = 200
"""How deep lists and dictionaries may be nested."""
PATH_BYTES = 300

XCOM_KEY_CHARACTERS = 512
"""The width of the column in Airflow's database."""

_NOT_IN_XCOM_KEYS = re.compile(r"[?#%\\\x00-\x1f]|(?:^|/)(?:\.{0,2})(?:/|$)")
_CONTAINERS = (Mapping, list, tuple, AbstractSet)
_LEAST, _MOST = -(2**63), 2**64 - 1  # msgpack's int 64 and uint 64
_RESERVED = ("__classname__", "__id__")
_OLD_FORM = frozenset({"__type", "__var"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a value that cannot be stored: ``result.items[3].name``, ``contains NUL``."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where values are stored.

    :param is_database: the limits of msgpack and ``jsonb`` apply; otherwise only those of JSON
    :param is_xcom: values pass through Airflow's ``serde``, and other tasks pull them
    """

    is_database: bool = True
    is_xcom: bool = False

    def first_fault(self, value: Any, name: str) -> Fault | None:
        """Return a part of a value that cannot be stored here, or None.

        Parts whose type JSON does not have are not checked: Airflow or an XCom backend serialises
        them. Any depth is safe, and so is a value that contains itself.

        :param name: what to call the value, for example ``"result"``
        """
        containers: list[_Container] = [_Container({name: value}, None, None, 0)]
        while containers:
            container = containers.pop()
            level = container.level
            for step, part in container.items():
                if _is_plain(part):  # most are, and results may have a million parts
                    continue
                if (reason := self._reason(part, level)) is not None:
                    return Fault(_path(container, step), reason)
                if isinstance(part, _CONTAINERS):
                    containers.append(_Container(part, container, step, level + 1))
        return None

    def _reason(self, value: Any, level: int) -> str | None:
        """Return why a value cannot be stored, without looking at its parts."""
        if value is None:
            return None
        if isinstance(value, str | PurePath):
            return self._reason_of_text(str(value))
        if isinstance(value, float):
            return self._reason_of_float(value)
        if isinstance(value, int):
            return self._reason_of_integer(value)
        if not isinstance(value, _CONTAINERS):
            return None
        if level >= MAX_LEVELS:
            return f"is nested too deep: at most {MAX_LEVELS} levels are possible"
        return self._reason_of_keys(value) if isinstance(value, Mapping) else None

    def _reason_of_text(self, text: str) -> str | None:
        if text.isascii():
            return "contains NUL" if self.is_database and "\0" in text else None
        if self.is_database and "\0" in text:
            return "contains NUL"
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return f"contains {text[error.start]!a}, a lone surrogate (half of a character)"
        return None

    def _reason_of_float(self, value: float) -> str | None:
        if not math.isfinite(value):
            return f"is {value}, which is not a number in JSON"
        if not self.is_xcom or _LEAST <= value <= _MOST:
            return None
        bits = int(value).bit_length()
        return f"is {value}, for Postgres an integer of {bits} bits, and at most 64 are possible"

    def _reason_of_integer(self, value: int) -> str | None:
        if not self.is_database or _LEAST <= value <= _MOST:
            return None
        return f"is an integer of {value.bit_length()} bits, and at most 64 are possible"

    def _reason_of_keys(self, value: Mapping[Any, Any]) -> str | None:
        for key in value:
            reason = self._reason_of_text(key) if isinstance(key, str) else None
            if reason is not None:
                return f"has the key {_shown(key)}, which {reason}"
        if not self.is_xcom:
            return None
        for key in _RESERVED:
            if key in value:
                return f"has the key '{key}', which Airflow reserves"
        if value.keys() >= _OLD_FORM:
            return "has the keys '__type' and '__var', which Airflow reserves"
        return None


XCOM = Destination(is_xcom=True)
"""A task's result."""
ARGUMENT = Destination()
"""A task's argument: it is part of the serialised DAG and of the rendered fields."""
JSON_FILE = Destination(is_database=False)
"""A file of JSON."""


def first_bad_output(outputs: Mapping[Any, Any], name: str) -> Fault | None:
    """Return the first key that cannot name an XCom of a task with ``multiple_outputs``.

    Airflow puts the key unescaped into the path of a URL: ``../`` would lead to another task.
    """
    for key in outputs:
        if isinstance(key, str) and not _names_an_xcom(key):
            reason = "which cannot name an XCom (multiple_outputs): a name has 1 to 512 characters"
            return Fault(name, f"has the key {_shown(key)}, {reason}, and no path, '?', '#' or '%'")
    return None


def _names_an_xcom(key: str) -> bool:
    return 0 < len(key) <= XCOM_KEY_CHARACTERS and not _NOT_IN_XCOM_KEYS.search(key)


@dataclass(frozen=True, slots=True)
class _Container:
    """A list or dictionary within a value, and the path to it."""

    parts: Any
    parent: _Container | None
    step: Any
    level: int

    def items(self) -> Iterable[tuple[Any, Any]]:
        return self.parts.items() if isinstance(self.parts, Mapping) else enumerate(self.parts)


def _is_plain(part: Any) -> bool:
    """Return whether a part can certainly be stored anywhere; False: it must be checked."""
    kind = type(part)
    if kind is str:
        return part.isascii() and "\0" not in part
    if kind is int or kind is float:
        return bool(-(2**63) <= part < 2**63)
    return part is None or kind is bool


def _path(container: _Container, last: Any) -> str:
    """Return the path of a part: ``result.items[3].name``."""
    steps = [last]
    while container.parent is not None:
        steps.append(container.step)
        container = container.parent
    first, *others = reversed(steps)
    return one_line(str(first) + "".join(map(_step, others)), PATH_BYTES)


def _step(step: Any) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step}]" if isinstance(step, int) else f"[{_shown(step)}]"


def _shown(key: Any) -> str:
    return one_line(repr(key), NAME_BYTES)

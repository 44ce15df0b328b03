"""What a probe is, and the decorators that make one of a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from kafka_bridge.protocol.encodings import Encoding

if TYPE_CHECKING:
    from kafka_bridge.conformance.stage import Stage

LEVELS = (1, 2, 3)
ENCODINGS = (Encoding.AVRO, Encoding.JSON)

Check: TypeAlias = Callable[["Stage"], None]
"""Acts on a stage; returns if the rule is kept, raises :class:`Unmet` or :class:`NotTested`."""
PreparedCheck: TypeAlias = Callable[["Stage"], Iterator[None]]
"""A generator: prepares the topics, yields once while the worker starts, and then checks."""


class Setting(StrEnum):
    """What a probe needs to find on its stage."""

    RUNNING = "running"
    """One worker, which runs already and which other probes share."""
    PREPARED = "prepared"
    """Topics whose records are there before the worker starts; then the shared worker."""
    ALONE = "alone"
    """A stage of its own, without a worker: the probe starts the workers."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The check of one rule.

    :ivar id: stable, such as ``L3-CANCEL-EARLY``; docs/protocol.md names it beside the rule
    :ivar level: the lowest level (1 … 3) at which a worker must keep the rule
    :ivar rule: the rule, in a sentence
    :ivar check: a :data:`PreparedCheck` in the setting PREPARED, otherwise a :data:`Check`
    :ivar encodings: those to which the rule applies
    """

    id: str
    level: int
    rule: str
    setting: Setting
    check: Callable[[Stage], Iterator[None] | None]
    encodings: tuple[Encoding, ...] = ENCODINGS


_C = TypeVar("_C", bound=Callable[..., Iterator[None] | None])
_PROBES: dict[str, Probe] = {}
_ID = re.compile(r"L([123])(-[A-Z]+)+")


def probes() -> Mapping[str, Probe]:
    """Return all probes whose modules were imported, by id, in the order of their definition."""
    return _PROBES


def running(
    name: str, rule: str, *, encodings: tuple[Encoding, ...] = ENCODINGS
) -> Callable[[Check], Check]:
    """Return a decorator: the function is a probe of a worker that runs already."""
    return lambda check: _add(name, rule, Setting.RUNNING, check, encodings)


def prepared(name: str, rule: str) -> Callable[[PreparedCheck], PreparedCheck]:
    """Return a decorator: the generator is a probe that prepares the topics before the start."""
    return lambda check: _add(name, rule, Setting.PREPARED, check, ENCODINGS)


def alone(name: str, rule: str) -> Callable[[Check], Check]:
    """Return a decorator: the function is a probe that starts the workers itself."""
    return lambda check: _add(name, rule, Setting.ALONE, check, ENCODINGS)


def _add(name: str, rule: str, setting: Setting, check: _C, encodings: tuple[Encoding, ...]) -> _C:
    match = _ID.fullmatch(name)
    if match is None or name in _PROBES:
        raise ValueError(f"{name} is not the id of a probe, or not a new one")
    _PROBES[name] = Probe(name, int(match[1]), rule, setting, check, encodings)
    return check

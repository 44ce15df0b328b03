"""What came of a probe, and the level that a worker reaches by all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kafka_bridge.conformance.probe import LEVELS, Probe
from kafka_bridge.conformance.unmet import Unmet
from kafka_bridge.protocol.encodings import Encoding


class Verdict(StrEnum):
    """What came of a probe."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one probe in one encoding.

    :ivar seconds: how long it took
    :ivar unmet: of a failed probe: what was expected and what came
    :ivar why: of a skipped probe: the reason
    :ivar output: of a failed probe: the last lines that the worker wrote, if the kit started it
    """

    probe: Probe
    encoding: Encoding
    verdict: Verdict
    seconds: float = 0.0
    unmet: Unmet | None = None
    why: str = ""
    output: str = ""


def level_reached(results: Iterable[Result], most: int = LEVELS[-1]) -> int:
    """Return the highest level of which, and below which, no probe failed; 0: not even level 1.

    :param most: the highest level that was tested
    """
    failed = [each.probe.level for each in results if each.verdict is Verdict.FAILED]
    return min([most, *(level - 1 for level in failed)])

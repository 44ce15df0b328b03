"""The report for a person, one probe after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from kafka_bridge.conformance.reports.documents import record_document
from kafka_bridge.conformance.results import Result, Verdict
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.sanitize import block, one_line

STYLES = {Verdict.OK: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}
WIDTH = max(map(len, Verdict))


def print_result(console: Console, result: Result) -> None:
    """Print a result: a line, and what was expected and came if it is failed."""
    line = Text.assemble(
        (f"{result.verdict:{WIDTH}} ", STYLES[result.verdict]),
        f"{result.encoding:4} ",
        (result.probe.id, "bold"),
        (f"  {result.seconds:.1f} s", "dim"),
    )
    if result.verdict is Verdict.SKIPPED:
        line.append(f"  {one_line(result.why)}")
    _print(console, line)
    if result.unmet is None:
        return
    _detail(console, "rule", result.probe.rule)
    _detail(console, "expected", one_line(result.unmet.expected))
    _detail(console, "came", one_line(result.unmet.came))
    if result.unmet.record is not None:
        document = record_document(result.unmet.record)
        headers = ", ".join(f"{name}: {value}" for name, value in document["headers"])
        _detail(console, "record", f"{document['location']}, key {document['key']}")
        _detail(console, "headers", headers or "none")
        _detail(console, "value", str(document["value"]))
    if result.output:
        _detail(console, "output", "the last lines of the worker:")
        for each in block(result.output).splitlines():
            _print(console, Text(f"    {each}", "dim"))


def print_counts(console: Console, results: Iterable[Result]) -> None:
    """Print how many probes failed."""
    counts = Counter(each.verdict for each in results)
    _print(console, Text(", ".join(f"{counts[each]} {each}" for each in Verdict)))


def print_levels(
    console: Console, results: Iterable[Result], levels: Mapping[Encoding, int], wanted: int
) -> None:
    """Print the level that was reached, by encoding, and how many probes do not count.

    :param wanted: the level that was asked for
    """
    skipped = Counter(each.encoding for each in results if each.verdict is Verdict.SKIPPED)
    for encoding, level in levels.items():
        style = "green" if level >= wanted else "bold red"
        text = f"level {level}" if level else "no level"
        limits = f", without {skipped[encoding]} skipped probes" if skipped[encoding] else ""
        _print(console, Text(f"{encoding}: {text} reached, of {wanted}{limits}", style))


def _detail(console: Console, name: str, text: str) -> None:
    _print(console, Text.assemble((f"  {name:9}", "dim"), text))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)

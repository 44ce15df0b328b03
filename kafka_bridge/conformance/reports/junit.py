"""JUnit XML, which CI systems show."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from kafka_bridge.conformance.reports.documents import record_document
from kafka_bridge.conformance.results import Result, Verdict
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.sanitize import one_line

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(results: Iterable[Result], path: Path) -> None:
    """Write a file with one suite for each encoding.

    :raises ConfigurationError: it cannot be written
    """
    results = list(results)
    root = ET.Element("testsuites", name="kafka-bridge conformance")
    for encoding in dict.fromkeys(each.encoding for each in results):
        root.append(_suite(encoding, [each for each in results if each.encoding is encoding]))
    try:
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error}") from error


def _suite(encoding: Encoding, results: list[Result]) -> ET.Element:
    def count(verdict: Verdict) -> str:
        return str(sum(each.verdict is verdict for each in results))

    suite = ET.Element(
        "testsuite",
        name=encoding.value,
        tests=str(len(results)),
        failures=count(Verdict.FAILED),
        skipped=count(Verdict.SKIPPED),
        time=f"{sum(each.seconds for each in results):.3f}",
    )
    suite.extend(_case(each) for each in results)
    return suite


def _case(result: Result) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=f"conformance.{result.encoding}.level{result.probe.level}",
        name=result.probe.id,
        time=f"{result.seconds:.3f}",
    )
    if result.verdict is Verdict.SKIPPED:
        ET.SubElement(case, "skipped", message=_clean(result.why))
    elif result.unmet is not None:
        unmet = result.unmet
        message = one_line(f"expected {unmet.expected}; {unmet.came}")
        failure = ET.SubElement(case, "failure", message=_clean(message))
        lines = [f"rule: {result.probe.rule}"]
        if unmet.record is not None:
            lines += [f"{name}: {value}" for name, value in record_document(unmet.record).items()]
        failure.text = _clean("\n".join(lines))
        ET.SubElement(case, "system-out").text = _clean(result.output)
    return case


def _clean(text: str) -> str:
    """Leave out what XML cannot have."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

"""The level that a worker reaches, and the reports."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from kafka_bridge.conformance.kit import selected
from kafka_bridge.conformance.probe import Probe, Setting, running
from kafka_bridge.conformance.reports import junit
from kafka_bridge.conformance.reports.documents import run_document
from kafka_bridge.conformance.reports.terminal import print_counts, print_levels, print_result
from kafka_bridge.conformance.results import Result, Verdict, level_reached
from kafka_bridge.conformance.unmet import Unmet
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError, RecordLocation

HOSTILE = "came \x1b[31m\x00 from outside"
RECORD = Record(
    RecordLocation("t", 1, 7), b"k\x1b", b'{"a": "\x1b[2J"}', [("h\x00", b"\xff\x00")], 5
)


def result(level: int, verdict: Verdict, why: str = "") -> Result:
    """Return a result of a probe of that level."""
    probe = Probe(f"L{level}-PROBE", level, "The rule.", Setting.RUNNING, lambda _: None)
    unmet = Unmet("an end", HOSTILE, RECORD) if verdict is Verdict.FAILED else None
    return Result(probe, Encoding.AVRO, verdict, 0.5, unmet, why, output=HOSTILE)


@pytest.mark.parametrize(
    ("failed", "reached"), [((), 3), ((3,), 2), ((2, 3), 1), ((2,), 1), ((1, 3), 0)]
)
def test_level_is_below_the_lowest_failed_probe(failed: tuple[int, ...], reached: int) -> None:
    """A worker that breaks a rule of level 2 is of level 1, whatever it does at level 3."""
    results = [
        result(level, Verdict.FAILED if level in failed else Verdict.OK) for level in (1, 2, 3)
    ]
    assert level_reached([*results, result(1, Verdict.SKIPPED, "no JDK")]) == reached


def test_no_higher_level_is_reached_than_was_tested() -> None:
    """With --level 2, nothing is known of level 3."""
    assert level_reached([result(1, Verdict.OK), result(2, Verdict.OK)], most=2) == 2


def test_unknown_probe_is_refused() -> None:
    """A misspelt id does not make an empty run, which passes."""
    with pytest.raises(ConfigurationError, match="no probe L9-NONE: `kafka-bridge conformance"):
        selected(3, ["L1-REPLY-KEY", "L9-NONE"])


def test_id_of_a_probe_is_unique_and_says_its_level() -> None:
    """The decorator refuses an id that exists, and one without a level."""
    for name in ("L1-REPLY-KEY", "REPLY-KEY", "L4-REPLY"):
        with pytest.raises(ValueError, match="not the id of a probe"):
            running(name, "The rule.")(lambda _: None)


def test_report_for_people_shows_the_record_and_no_control_characters() -> None:
    """What a worker publishes and prints cannot change the terminal."""
    text = io.StringIO()
    console = Console(file=text, width=80)
    results = [result(1, Verdict.FAILED), result(2, Verdict.SKIPPED, "no JDK")]
    for each in results:
        print_result(console, each)
    print_counts(console, results)
    print_levels(console, results, {Encoding.AVRO: 0}, wanted=3)
    shown = text.getvalue()
    assert "expected an end" in shown
    assert "t[1]@7" in shown
    assert "no JDK" in shown
    assert "0 ok, 1 failed, 1 skipped" in shown
    assert "avro: no level reached, of 3, without 1 skipped probes" in shown
    assert not {"\x1b", "\x00"} & set(shown)


def test_document_has_what_a_program_needs() -> None:
    """JSON has the level, and of a failed probe what was expected and came."""
    document = run_document([result(2, Verdict.FAILED)], {Encoding.AVRO: 1})
    assert document["levels"] == {"avro": 1}
    (failed,) = json.loads(json.dumps(document))["results"]
    assert failed["verdict"] == "failed"
    assert failed["record"]["location"] == "t[1]@7"
    assert "\x1b" not in failed["came"]


def test_junit_file_can_be_read_whatever_came(tmp_path: Path) -> None:
    """XML has no form for control characters."""
    path = tmp_path / "report.xml"
    verdicts = (Verdict.OK, Verdict.FAILED, Verdict.SKIPPED)
    junit.write([result(2, each, "no JDK") for each in verdicts], path)
    (suite,) = ET.parse(path).getroot()  # noqa: S314  our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [
        [],
        ["failure", "system-out"],
        ["skipped"],
    ]


def test_junit_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """The folder may not exist."""
    with pytest.raises(ConfigurationError, match=r"the report .* cannot be written"):
        junit.write([result(1, Verdict.OK)], tmp_path / "none" / "report.xml")

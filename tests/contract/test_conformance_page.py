"""The kit, the page of the protocol and the page about the kit have the same probes and names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kafka_bridge.cli.conformance import BELOW
from kafka_bridge.conformance import job_types
from kafka_bridge.conformance.kit import selected
from kafka_bridge.conformance.notes import ENDED, STARTED, Notes
from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.probe import LEVELS
from kafka_bridge.conformance.setup import Setup
from kafka_bridge.conformance.target import variables
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.encodings import Encoding

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text(encoding="utf-8")
PAGE = (DOCS / "how-to" / "check-a-worker.md").read_text(encoding="utf-8")
ID = re.compile(r"\bL[123](?:-[A-Z]+)+\b")
PROBES = {each.id: each for each in selected(LEVELS[-1], ())}


def test_protocol_page_names_each_probe_once_beside_a_rule() -> None:
    """A rule without its probe, or a probe without its rule, would be seen here."""
    named = ID.findall(PROTOCOL)
    assert sorted(named) == sorted(PROBES)


def test_page_names_only_probes_that_exist() -> None:
    """The page about the kit follows when a probe is renamed."""
    assert set(ID.findall(PAGE)) <= PROBES.keys()


@pytest.mark.parametrize("job_type", job_types.JOB_TYPES)
def test_page_says_what_each_job_type_does(job_type: str) -> None:
    """The table of job types has a row for each one."""
    assert f"| `{job_type}` |" in PAGE


def test_page_lists_the_variables_of_a_worker() -> None:
    """The table has what the kit sets, and in one probe max.poll.interval.ms."""
    config = KafkaConfig({"bootstrap.servers": "kafka:9092"})
    setup = Setup(config, TopicNames(), "g", Encoding.AVRO, Patience())
    given = {name for name in variables(setup, Path("notes")) if name.startswith("KAFKA_BRIDGE_")}
    listed = set(re.findall(r"^\| `(KAFKA_BRIDGE_\w+)` \|", PAGE, re.MULTILINE))
    assert listed == given | {"KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS"}


def test_page_has_the_words_of_the_notes_and_the_exit_codes() -> None:
    """Workers in other languages are written by these words."""
    assert f"`{STARTED} <correlation id>`" in PAGE
    assert f"`{ENDED} <correlation id>`" in PAGE
    assert ", ".join(str(BELOW + level) for level in (0, *LEVELS[:-1])) in PAGE


def test_notes_count_whole_lines(tmp_path: Path) -> None:
    """A line that is half written does not count, nor do other words."""
    path = tmp_path / "notes"
    assert Notes(path).count(STARTED, "a") == 0
    path.write_text("started a\nended a\nstarted ab\nstarted a\n", encoding="utf-8")
    assert Notes(path).count(STARTED, "a") == 2

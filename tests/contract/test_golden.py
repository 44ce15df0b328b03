"""The golden files: the protocol in bytes, the same for a worker in any language."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.messages import JobCommand, JobRequest, JobState, StatusEvent
from kafka_bridge.protocol.schemas import WRITTEN

from .golden_messages import BY_NAME, CASES, Case
from .golden_variants import UNREADABLE, VARIANTS, Unreadable, Variant
from .make_golden import GOLDEN, INDEX, WouldChange, golden_files, golden_index, write_new

each_encoding = pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _released_index() -> dict[str, Any]:
    index: dict[str, Any] = json.loads((GOLDEN / INDEX).read_text(encoding="utf-8"))
    return index


@each_encoding
@each_case
def test_encodes_to_the_golden_bytes(case: Case, encoding: Encoding) -> None:
    """A message is written as the very bytes that were released."""
    assert encode(case.message, encoding) == (GOLDEN / f"{case.name}.{encoding}").read_bytes()


@each_encoding
@each_case
def test_decodes_from_the_golden_bytes(case: Case, encoding: Encoding) -> None:
    """The released bytes are read as the message, whole."""
    value = (GOLDEN / f"{case.name}.{encoding}").read_bytes()
    assert decode(type(case.message), value) == case.message


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.file)
def test_reads_what_else_means_the_same(variant: Variant) -> None:
    """Bytes that a writer in another language or of a later version may send are understood."""
    expected = BY_NAME[variant.same_as].message
    value = (GOLDEN / variant.file).read_bytes()
    assert decode(type(expected), value) == expected
    assert value not in {encode(expected, Encoding.AVRO), encode(expected, Encoding.JSON)}


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=lambda unreadable: unreadable.file)
def test_bytes_that_are_not_a_message_are_refused(unreadable: Unreadable) -> None:
    """Damaged bytes are refused as the peer's fault."""
    with pytest.raises(RemoteProtocolError):
        decode(unreadable.message_type, (GOLDEN / unreadable.file).read_bytes())


def test_index_and_folder_agree_with_the_tables() -> None:
    """The index that other languages use lists every file, and says of each what the table says."""
    assert _released_index() == golden_index()
    assert {path.name for path in GOLDEN.iterdir()} == {*golden_files(), INDEX}


def test_names_of_golden_cases_are_unique() -> None:
    """No two entries share a file."""
    assert len(golden_files()) == 2 * len(CASES) + len(VARIANTS) + len(UNREADABLE)


def test_cases_cover_the_protocol() -> None:
    """Each state has a case, and each field a case with it and one at its default."""
    states = {case.message.state for case in CASES if isinstance(case.message, StatusEvent)}
    assert states == set(JobState)
    for message_type in (JobRequest, StatusEvent, JobCommand):
        of_type = [case.message for case in CASES if type(case.message) is message_type]
        for field in WRITTEN[message_type].definition["fields"]:
            if "default" in field:
                at_default = {getattr(m, field["name"]) == field["default"] for m in of_type}
                assert at_default == {True, False}, field["name"]


def test_golden_bytes_are_canonical() -> None:
    """No case has a map with two entries, whose order Avro leaves open."""
    assert all(len(case.message.attributes) <= 1 for case in CASES)


def test_make_golden_in_an_empty_folder_writes_every_file(tmp_path: Path) -> None:
    """An empty folder gets every golden file, byte by byte as it was released."""
    write_new(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("standing", ["event-accepted.avro", "event-accepted.json"])
def test_making_refuses_to_overwrite_a_file(tmp_path: Path, standing: str) -> None:
    """Where a released file would change, nothing is written."""
    (tmp_path / standing).write_bytes(b"released")
    with pytest.raises(WouldChange, match=standing):
        write_new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [standing]


@pytest.mark.parametrize("section", ["cases", "also_readable", "unreadable"])
def test_making_refuses_to_drop_an_entry(tmp_path: Path, section: str) -> None:
    """Where a line of the released index would change or go, nothing is written."""
    index = _released_index()
    index[section][0]["description"] += " As released."
    released = json.dumps(index)
    (tmp_path / INDEX).write_text(released, encoding="utf-8")
    with pytest.raises(WouldChange, match="would change or go"):
        write_new(tmp_path)
    assert (tmp_path / INDEX).read_text(encoding="utf-8") == released


def test_making_adds_what_is_missing(tmp_path: Path) -> None:
    """A new case is written beside the old ones, which stay."""
    folder = shutil.copytree(GOLDEN, tmp_path / "v1")
    (folder / "command-cancel.avro").unlink()
    assert write_new(folder) == ["command-cancel.avro"]
    assert write_new(folder) == []

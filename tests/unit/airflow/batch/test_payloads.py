"""Where the payloads of a batch come from, and what is said of those that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from kafka_bridge.airflow.batch.payloads import payloads_of
from kafka_bridge.protocol.errors import (
    ConfigurationError,
    InvalidPayload,
    PayloadNotSerialisable,
)
from kafka_bridge.protocol.media_types import JSON, to_json


def contents(values: Any, file: Path | None = None) -> list[tuple[bytes | None, str | None]]:
    """Go through payloads twice; return what they were both times."""
    source = payloads_of(values, None if file is None else str(file))
    first, second = ([(p.data, p.media_type) for p in source] for _ in range(2))
    assert first == second
    return first


def test_payloads_of_a_list_are_encoded_as_those_of_single_jobs() -> None:
    """Python values become JSON; bytes stay as they are."""
    assert contents([{"n": 1}, "é", b"\x00", None]) == [
        (b'{"n":1}', JSON),
        ('"é"'.encode(), JSON),
        (b"\x00", "application/octet-stream"),
        (None, None),
    ]


def test_payloads_of_a_generator_can_be_iterated_again() -> None:
    """It is kept as a list: first to check all payloads, then to publish them."""

    def squares() -> Iterator[int]:
        yield from (n * n for n in range(3))

    assert contents(squares()) == [(b"0", JSON), (b"1", JSON), (b"4", JSON)]


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson"])
def test_each_line_of_a_file_is_one_payload(tmp_path: Path, ending: str) -> None:
    """It is published as it is, including numbers that no float can hold."""
    file = tmp_path / f"numbers{ending}"
    file.write_bytes(b'{"n": 12345678901234567890.5}\r\n  "x"\nnull')
    assert contents(None, file) == [
        (b'{"n": 12345678901234567890.5}', JSON),
        (b'"x"', JSON),
        (b"null", JSON),
    ]


def test_each_row_of_a_parquet_file_is_one_payload(tmp_path: Path) -> None:
    """A dictionary by column, from all row groups of the file."""
    file, rows = tmp_path / "rows.parquet", [{"n": n, "name": f"file {n}"} for n in range(2500)]
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=700)
    found = contents(None, file)
    assert len(found) == 2500
    assert found[1234] == (b'{"n":1234,"name":"file 1234"}', JSON)


def test_empty_file_is_an_empty_batch(tmp_path: Path) -> None:
    """A file without a line has no payloads."""
    file = tmp_path / "none.jsonl"
    file.touch()
    assert contents(None, file) == []


class Picture(BaseModel):
    """What a payload must be."""

    path: str
    width: int = 128


@pytest.mark.parametrize("source", ["list", "pictures.jsonl", "pictures.parquet"])
def test_payloads_that_do_not_fit_the_model_are_named(tmp_path: Path, source: str) -> None:
    """Payloads travel as the model has them, wherever they come from; one that does not is named.

    The error says which payload, and which of its fields.
    """
    rows = [{"path": "a.png", "width": "17"}, {"path": "b.png", "width": "wide"}]
    name = {"list": "payloads[1]", "pictures.jsonl": "line 2", "pictures.parquet": "row 2"}[source]
    file = tmp_path / source
    if file.suffix == ".jsonl":
        file.write_bytes(b"".join(to_json(row) + b"\n" for row in rows))
    elif file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    where = "" if source == "list" else f"{file}, "
    found = iter(payloads_of(rows, str(file) if where else None, Picture))
    assert next(found).data == b'{"path":"a.png","width":17}'
    with pytest.raises(InvalidPayload) as caught:
        next(found)
    assert str(caught.value) == (
        f"{where}{name} does not match Picture: width: Input should be a valid integer, "
        "unable to parse string as an integer, got 'wide'"
    )


BAD_LINES = [
    (b"{'n': 1}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    (b"", "Expecting value: line 1 column 1 (char 0)"),
    (b"NaN", "NaN is not JSON"),
    (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
]


@pytest.mark.parametrize(("line", "why"), BAD_LINES)
def test_line_that_is_not_json_is_named_by_its_number(
    tmp_path: Path, line: bytes, why: str
) -> None:
    """The error shows how the line begins."""
    file = tmp_path / "numbers.jsonl"
    file.write_bytes(b"1\n" * 16 + line + b"\n1\n")
    with pytest.raises(PayloadNotSerialisable) as caught:
        contents(None, file)
    begins = line.decode(errors="replace")
    assert str(caught.value) == (
        f"{file}, line 17 is not JSON ({why}): each line must hold one payload, "
        f"but this one begins with {begins!r}"
    )


def test_value_without_a_json_form_is_named_by_its_index() -> None:
    """The error also names the part of the value."""
    with pytest.raises(PayloadNotSerialisable) as caught:
        contents([1, 2, 3, {"x": object}])
    assert str(caught.value).startswith(
        "payloads[3]['x'] cannot be written as JSON: it is <class 'object'> of type type. "
    )


def test_row_without_a_json_form_is_named_by_its_number(tmp_path: Path) -> None:
    """The error also names the column."""
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"data": [b"text", b"\xff"]}), file)
    with pytest.raises(PayloadNotSerialisable, match=r"rows.parquet, row 2\['data'\] cannot be "):
        contents(None, file)


@pytest.mark.parametrize("values", ["abc", b"abc", {"n": 1}, 17])
def test_one_value_instead_of_a_list_is_refused(values: Any) -> None:
    """A text would otherwise become one job for each letter."""
    with pytest.raises(ConfigurationError) as caught:
        contents(values)
    assert str(caught.value) == (
        f"payloads must be a list or another iterable with one payload for each job, not {values!r}"
    )


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.parquet"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """The error says where the file must be."""
    with pytest.raises(ConfigurationError) as caught:
        contents(None, tmp_path / name)
    assert str(caught.value) == (
        f"payloads_file {tmp_path / name} cannot be read on this worker: No such file or "
        "directory. The file must be on every worker that may run this task"
    )


@pytest.mark.parametrize("name", ["payloads.csv", "payloads", "payloads.JSONL"])
def test_file_with_an_unknown_suffix_is_refused(name: str) -> None:
    """The suffix decides how a file is read."""
    with pytest.raises(ConfigurationError) as caught:
        payloads_of(None, name)
    assert str(caught.value) == (
        f"payloads_file must end in .jsonl, .ndjson or .parquet, not {name!r}"
    )


def test_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    """A file with that suffix may hold something else."""
    file = tmp_path / "rows.parquet"
    file.write_text("n\n1\n")
    with pytest.raises(ConfigurationError) as caught:
        contents(None, file)
    assert str(caught.value).startswith(f"payloads_file {file} cannot be read as Parquet: ")


def test_parquet_without_pyarrow_names_the_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the command that installs it."""
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError) as caught:
        contents(None, tmp_path / "rows.parquet")
    assert str(caught.value) == (
        f"payloads_file {tmp_path / 'rows.parquet'} needs pyarrow, which is not installed here: "
        "pip install 'airflow-kafka-bridge[parquet]'"
    )

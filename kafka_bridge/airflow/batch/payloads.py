"""The payloads of a batch, one after the other: from an iterable, or read from a file as a stream.

Each source can be gone through more than once: to check everything before anything is sent, then to
send it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.errors import ConfigurationError, PayloadNotSerialisable
from kafka_bridge.protocol.media_types import JSON, from_json

ROWS_AT_ONCE = 1000
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)


class Payload(NamedTuple):
    """One payload as it travels. ``name`` is what an error calls it."""

    name: str
    data: bytes | None
    media_type: str | None


PayloadSource: TypeAlias = Iterable[Payload]


class ListedPayloads:
    """Python values, kept in memory.

    :raises ConfigurationError: they are one value instead of many
    """

    def __init__(self, values: Any) -> None:
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise ConfigurationError(
                "payloads must be a list or another iterable with one payload for each job, "
                f"not {values!r:.60}"
            )
        self._values = list(values)  # a generator can be gone through only once

    def __iter__(self) -> Iterator[Payload]:
        for index, value in enumerate(self._values):
            name = f"payloads[{index}]"
            yield Payload(name, *to_bytes(value, name))


class JsonLines:
    """A file with one JSON value on each line; the line is sent as it stands."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Payload]:
        with _opened(self._path) as file:
            for number, line in enumerate(file, start=1):
                data, name = line.strip(), f"{self._path}, line {number}"
                try:
                    from_json(data)
                except ValueError as error:
                    raise PayloadNotSerialisable(
                        f"{name} is not JSON ({error}): each line must hold one payload, "
                        f"and this one begins with {data[:40].decode(errors='replace')!r}"
                    ) from error
                yield Payload(name, data, JSON)


class ParquetRows:
    """A Parquet file, each row of which is a payload: a dictionary by column."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Payload]:
        for number, row in enumerate(self._rows(), start=1):
            name = f"{self._path}, row {number}"
            yield Payload(name, *to_bytes(row, name))

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise ConfigurationError(
                f"payloads_file {self._path} needs pyarrow, which is not installed here: "
                "pip install 'airflow-kafka-bridge[parquet]'"
            ) from error
        with _opened(self._path) as file:
            try:
                for batch in ParquetFile(file).iter_batches(ROWS_AT_ONCE):
                    yield from batch.to_pylist()
            except ArrowException as error:
                raise ConfigurationError(
                    f"payloads_file {self._path} is not a Parquet file that can be read: {error}"
                ) from error


def payloads_of(values: Any, file: str | None) -> PayloadSource:
    """Return the payloads that an operator was given: values, or the path of a file.

    :raises ConfigurationError: they are not many values, or the file's name has another ending
    """
    if file is None:
        return ListedPayloads(values)
    path = Path(file)
    if path.suffix in JSON_LINES:
        return JsonLines(path)
    if path.suffix in PARQUET:
        return ParquetRows(path)
    raise ConfigurationError(
        f"payloads_file must end in {', '.join(JSON_LINES)} or {PARQUET[0]}, not {file!r}"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"payloads_file {path} cannot be read on this worker: {error.strerror}. It must lie "
            "where every worker that may run this task finds it"
        ) from error
    with file:
        yield file

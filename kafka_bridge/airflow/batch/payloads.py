"""The payloads of a batch, one after the other: from an iterable, or read from a file as a stream.

Each source can be iterated more than once: first to check all payloads, then to publish them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from kafka_bridge.airflow.submit.payload_model import PayloadModel
from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.errors import ConfigurationError, PayloadNotSerialisable
from kafka_bridge.protocol.media_types import JSON, from_json

ROWS_AT_ONCE = 1000
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)


class Payload(NamedTuple):
    """One payload as it is published. Errors call it ``name``."""

    name: str
    data: bytes | None
    media_type: str | None


PayloadSource: TypeAlias = Iterable[Payload]


class ListedPayloads:
    """Python values, kept in memory.

    :param model: what each value must fit, or None, as with the other sources
    :raises ConfigurationError: ``values`` is one value instead of many
    """

    def __init__(self, values: Any, model: PayloadModel | None) -> None:
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise ConfigurationError(
                "payloads must be a list or another iterable with one payload for each job, "
                f"not {values!r:.60}"
            )
        self._values = list(values)  # a generator can be iterated only once
        self._model = model

    def __iter__(self) -> Iterator[Payload]:
        for index, value in enumerate(self._values):
            yield _encoded(value, f"payloads[{index}]", self._model)


class JsonLines:
    """A file with one JSON value on each line; without a model, the line is sent as it stands."""

    def __init__(self, path: Path, model: PayloadModel | None) -> None:
        self._path = path
        self._model = model

    def __iter__(self) -> Iterator[Payload]:
        with _opened(self._path) as file:
            for number, line in enumerate(file, start=1):
                data, name = line.strip(), f"{self._path}, line {number}"
                try:
                    value = from_json(data)
                except ValueError as error:
                    raise PayloadNotSerialisable(
                        f"{name} is not JSON ({error}): each line must hold one payload, "
                        f"but this one begins with {data[:40].decode(errors='replace')!r}"
                    ) from error
                if self._model is None:
                    yield Payload(name, data, JSON)
                else:
                    yield _encoded(value, name, self._model)


class ParquetRows:
    """A Parquet file: each row is a payload, a dictionary by column."""

    def __init__(self, path: Path, model: PayloadModel | None) -> None:
        self._path = path
        self._model = model

    def __iter__(self) -> Iterator[Payload]:
        for number, row in enumerate(self._rows(), start=1):
            yield _encoded(row, f"{self._path}, row {number}", self._model)

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            from pyarrow import ArrowException  # noqa: PLC0415
            from pyarrow.parquet import ParquetFile  # noqa: PLC0415
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
                    f"payloads_file {self._path} cannot be read as Parquet: {error}"
                ) from error


def payloads_of(values: Any, file: str | None, kind: Any = None) -> PayloadSource:
    """Return the payloads that an operator has: values, or the path of a file.

    :param kind: the type that each payload must fit, or None
    :raises ConfigurationError: ``values`` is one value, the file has another suffix, or ``kind`` is
        not a type
    """
    model = None if kind is None else PayloadModel(kind)
    if file is None:
        return ListedPayloads(values, model)
    path = Path(file)
    if path.suffix in JSON_LINES:
        return JsonLines(path, model)
    if path.suffix in PARQUET:
        return ParquetRows(path, model)
    raise ConfigurationError(
        f"payloads_file must end in {', '.join(JSON_LINES)} or {PARQUET[0]}, not {file!r}"
    )


def _encoded(value: Any, name: str, model: PayloadModel | None) -> Payload:
    """Return a value as it is published.

    :raises InvalidPayload: the value does not fit the model
    :raises PayloadNotSerialisable: the value has no JSON form
    """
    fitted = value if model is None else model.fitted(value, name)
    return Payload(name, *to_bytes(fitted, name))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"payloads_file {path} cannot be read on this worker: {error.strerror}. The file must "
            "be on every worker that may run this task"
        ) from error
    with file:
        yield file

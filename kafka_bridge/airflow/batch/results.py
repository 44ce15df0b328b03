"""The results of a batch in the order of its payloads, as an XCom or in a file; or its failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from kafka_bridge.airflow.batch.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedForGood,
    ResultsTooLarge,
)
from kafka_bridge.airflow.batch.job_end import CANCELLED, JobEnd, without_result
from kafka_bridge.airflow.outcomes import STORE_ELSEWHERE
from kafka_bridge.airflow.storable import Destination
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.media_types import to_json
from kafka_bridge.protocol.messages import JobFailure

BatchFailure: TypeAlias = KafkaBatchFailed | KafkaBatchFailedForGood

XCOM_RESULTS = 10_000
"""The most results that are returned as an XCom: known before anything is sent."""
XCOM_BYTES = 1024 * 1024
"""The most bytes of JSON that they may take: whoever reads the XCom loads it from the database."""
MOST_TYPES = 5
"""How many types of errors a failure names."""

_ADVICE = (
    "set results_file to have them written to a file, a result_handler that makes less of them, or "
    "do_xcom_push=False if nobody needs them"
)


def require_few_enough(count: int) -> None:
    """See that so many results may be returned as an XCom.

    :raises ConfigurationError: they are too many
    """
    if count > XCOM_RESULTS:
        raise ConfigurationError(
            f"the results of {count:,} jobs are too many for an XCom, which takes {XCOM_RESULTS:,} "
            f"at most: {_ADVICE}. Nothing was sent."
        )


def results_of(ends: Iterable[JobEnd]) -> list[Any]:
    """Return the results in order; for a job without one, ``{"error": {…}}``."""
    return [end.result if end.error is None else {"error": _error(end.error)} for end in ends]


def with_storable_results(
    ends: Iterable[JobEnd | None], destination: Destination
) -> list[JobEnd | None]:
    """Return the ends with an error in the place of each result that cannot be stored."""
    return [None if end is None else _with_storable_result(end, destination) for end in ends]


def _with_storable_result(end: JobEnd, destination: Destination) -> JobEnd:
    fault = destination.first_fault(end.result, "result")
    return end if fault is None else without_result(f"{fault}. {STORE_ELSEWHERE}")


def lost_results(ends: Iterable[JobEnd | None]) -> int:
    """Return how many jobs have succeeded with a result that cannot be stored."""
    return sum(end is not None and end.has_lost_result for end in ends)


def require_small_enough(results: Sequence[Any]) -> None:
    """See that results may be returned as an XCom.

    :raises ResultsTooLarge: they take more than an XCom should
    """
    size = len(to_json(results))
    if size > XCOM_BYTES:
        raise ResultsTooLarge(
            f"the results of {len(results):,} jobs take {size:,} bytes as JSON, and an XCom "
            f"{XCOM_BYTES:,} at most: {_ADVICE}"
        )


def write_results(path: Path, ends: Sequence[JobEnd]) -> None:
    """Write a file with one JSON object on each line: ``index``, ``state``, and the outcome.

    That is ``result``, or ``error`` with ``type``, ``message``, ``retryable`` and ``details``. It
    appears under its name once it is complete.

    :raises ConfigurationError: it cannot be written
    """
    draft = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.writelines(_lines(ends))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"results_file {path} cannot be written on this worker: {error.strerror}"
        ) from error


def _lines(ends: Sequence[JobEnd]) -> Iterator[bytes]:
    for index, end in enumerate(ends):
        line: dict[str, Any] = {"index": index, "state": end.state.value}
        if end.error is None:
            line["result"] = end.result
        else:
            line["error"] = {**_error(end.error), "details": end.error.details}
        yield to_json(line) + b"\n"


def _error(error: JobFailure) -> dict[str, Any]:
    return {"type": error.type, "message": error.message, "retryable": error.retryable}


def failure_of(ends: Sequence[JobEnd | None], tolerated: int) -> BatchFailure:
    """Return the error for a batch of which more than ``tolerated`` jobs have failed.

    It rules retries out where so many have failed for good that none can help.
    """
    errors = [end.error for end in ends if end is not None and end.error is not None]
    for_good = sum(end is not None and end.error is not None and end.is_settled for end in ends)
    types = Counter(error.type for error in errors)
    index, first = first_error(ends)
    what = "failed"
    if lost_results(ends) == len(errors):
        what = "succeeded, but Airflow cannot store their results"
    allowed = f" ({tolerated:,} may)" if tolerated else ""
    kind = KafkaBatchFailedForGood if for_good > tolerated else KafkaBatchFailed
    return kind(
        f"{len(errors):,} of {len(ends):,} jobs {what}{allowed}: "
        + ", ".join(f"{count:,} × {name}" for name, count in types.most_common(MOST_TYPES))
        + f". The first is that of payloads[{index}]: {first.type}: {first.message}"
    )


def first_error(ends: Sequence[JobEnd | None]) -> tuple[int, JobFailure]:
    """Return the first payload whose job has failed, and its error.

    A job that was cancelled comes last: mostly another one's failure is the reason.
    """
    errors = [(n, end.error) for n, end in enumerate(ends) if end is not None and end.error]
    return min(errors, key=lambda each: (each[1].type == CANCELLED, each[0]))

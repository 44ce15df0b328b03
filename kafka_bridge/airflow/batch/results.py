"""The results of a batch in the order of its payloads, as an XCom or a file; or its failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from kafka_bridge.airflow.batch.finished_job import CANCELLED, FinishedJob, without_result
from kafka_bridge.airflow.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedNonRetryable,
    ResultsTooLarge,
)
from kafka_bridge.airflow.outcomes import STORE_ELSEWHERE
from kafka_bridge.airflow.storable import Destination
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.media_types import to_json
from kafka_bridge.protocol.messages import JobFailure

BatchFailure: TypeAlias = KafkaBatchFailed | KafkaBatchFailedNonRetryable

XCOM_RESULTS = 10_000
"""The most results that are returned as an XCom: checked before anything is sent."""
XCOM_BYTES = 1024 * 1024
"""The most bytes of JSON in that XCom: each task that reads it loads it from the database."""
MOST_TYPES = 5
"""How many error types the text of a failure names."""

_ADVICE = (
    "set results_file to write them to a file, or a result_handler that reduces them, or "
    "do_xcom_push=False if no task reads them"
)


def require_few_enough(count: int) -> None:
    """Check that an XCom may hold ``count`` results.

    :raises ConfigurationError: it may not
    """
    if count > XCOM_RESULTS:
        raise ConfigurationError(
            f"the results of {count:,} jobs are too many for an XCom, which holds at most "
            f"{XCOM_RESULTS:,}: {_ADVICE}. Nothing was sent."
        )


def results_of(jobs: Iterable[FinishedJob]) -> list[Any]:
    """Return the results in order; for a job without a result, ``{"error": {…}}``."""
    return [job.result if job.error is None else {"error": _error(job.error)} for job in jobs]


def with_storable_results(
    jobs: Iterable[FinishedJob | None], destination: Destination
) -> list[FinishedJob | None]:
    """Return the jobs with an error in the place of each result that cannot be stored."""
    return [None if job is None else _with_storable_result(job, destination) for job in jobs]


def _with_storable_result(job: FinishedJob, destination: Destination) -> FinishedJob:
    fault = destination.first_fault(job.result, "result")
    return job if fault is None else without_result(f"{fault}. {STORE_ELSEWHERE}")


def lost_results(jobs: Iterable[FinishedJob | None]) -> int:
    """Return how many jobs succeeded with a result that cannot be stored."""
    return sum(job is not None and job.has_lost_result for job in jobs)


def require_small_enough(results: Sequence[Any]) -> None:
    """Check that an XCom may hold these results.

    :raises ResultsTooLarge: they are too large
    """
    size = len(to_json(results))
    if size > XCOM_BYTES:
        raise ResultsTooLarge(
            f"the results of {len(results):,} jobs take {size:,} bytes as JSON, but an XCom holds "
            f"at most {XCOM_BYTES:,}: {_ADVICE}"
        )


def write_results(path: Path, jobs: Sequence[FinishedJob]) -> None:
    """Write a file with one JSON object on each line: ``index``, ``state``, and the outcome.

    The outcome is ``result``, or ``error`` with ``type``, ``message``, ``retryable`` and
    ``details``. The file appears under its name only when it is complete.

    :raises ConfigurationError: it cannot be written
    """
    draft = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.writelines(_lines(jobs))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"results_file {path} cannot be written on this worker: {error.strerror}"
        ) from error


def _lines(jobs: Sequence[FinishedJob]) -> Iterator[bytes]:
    for index, job in enumerate(jobs):
        line: dict[str, Any] = {"index": index, "state": job.state.value}
        if job.error is None:
            line["result"] = job.result
        else:
            line["error"] = {**_error(job.error), "details": job.error.details}
        yield to_json(line) + b"\n"


def _error(error: JobFailure) -> dict[str, Any]:
    return {"type": error.type, "message": error.message, "retryable": error.retryable}


def failure_of(jobs: Sequence[FinishedJob | None], tolerated: int) -> BatchFailure:
    """Return the error of a batch in which more than ``tolerated`` jobs failed.

    It rules retries out if more than ``tolerated`` jobs have a non-retryable error.
    """
    errors = [job.error for job in jobs if job is not None and job.error is not None]
    settled = sum(job is not None and job.error is not None and job.is_settled for job in jobs)
    types = Counter(error.type for error in errors)
    index, first = first_error(jobs)
    what = "failed"
    if lost_results(jobs) == len(errors):
        what = "succeeded, but Airflow cannot store their results"
    allowed = f" (at most {tolerated:,} may fail)" if tolerated else ""
    kind = KafkaBatchFailedNonRetryable if settled > tolerated else KafkaBatchFailed
    return kind(
        f"{len(errors):,} of {len(jobs):,} jobs {what}{allowed}: "
        + ", ".join(f"{count:,} × {name}" for name, count in types.most_common(MOST_TYPES))
        + f". First error: payloads[{index}]: {first.type}: {first.message}"
    )


def first_error(jobs: Sequence[FinishedJob | None]) -> tuple[int, JobFailure]:
    """Return the index of the first payload whose job failed, and the error.

    Cancelled jobs come last: usually another job's failure is the reason.
    """
    errors = [(n, job.error) for n, job in enumerate(jobs) if job is not None and job.error]
    return min(errors, key=lambda each: (each[1].type == CANCELLED, each[0]))

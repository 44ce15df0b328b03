"""The results of a batch, where they go, and the words of its failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafka_bridge.airflow.batch.finished_job import FinishedJob
from kafka_bridge.airflow.batch.results import (
    XCOM_RESULTS,
    failure_of,
    first_error,
    require_few_enough,
    require_small_enough,
    results_of,
    with_storable_results,
    write_results,
)
from kafka_bridge.airflow.compat import AirflowException, AirflowFailException
from kafka_bridge.airflow.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedNonRetryable,
    ResultsTooLarge,
)
from kafka_bridge.airflow.storable import XCOM
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import JobFailure, JobState


def done(result: object = None) -> FinishedJob:
    """Return a good end."""
    return FinishedJob(JobState.SUCCEEDED, result=result)


def failed(kind: str = "busy", *, retryable: bool = True) -> FinishedJob:
    """Return a bad end."""
    error = JobFailure(kind, "in words", "Traceback …", retryable=retryable)
    return FinishedJob(JobState.FAILED, error=error)


CANCELLED = FinishedJob(JobState.CANCELLED, error=JobFailure("cancelled", "another one has failed"))


def test_results_are_in_the_order_of_the_payloads() -> None:
    """A job without a result has its error at that place."""
    error = {"type": "busy", "message": "in words", "retryable": True}
    assert results_of([done(1), failed(), done(None)]) == [1, {"error": error}, None]


def test_results_too_large_for_an_xcom_are_refused() -> None:
    """The error says what to do instead."""
    with pytest.raises(ResultsTooLarge) as caught:
        require_small_enough(["x" * 600_000, "y" * 600_000])
    assert str(caught.value) == (
        "the results of 2 jobs take 1,200,007 bytes as JSON, but an XCom holds at most 1,048,576: "
        "set results_file to write them to a file, or a result_handler that reduces them, or "
        "do_xcom_push=False if no task reads them"
    )
    assert isinstance(caught.value, AirflowFailException)


def test_too_many_results_for_an_xcom_are_refused_before_publishing() -> None:
    """The number is known before anything is sent."""
    require_few_enough(XCOM_RESULTS)
    with pytest.raises(ConfigurationError) as caught:
        require_few_enough(XCOM_RESULTS + 1)
    assert str(caught.value) == (
        "the results of 10,001 jobs are too many for an XCom, which holds at most 10,000: set "
        "results_file to write them to a file, or a result_handler that reduces them, or "
        "do_xcom_push=False if no task reads them. Nothing was sent."
    )


def test_result_that_cannot_be_stored_becomes_a_non_retryable_error() -> None:
    """The other results stay as they are."""
    ends = with_storable_results([done("a\0"), done("b"), failed(), None], XCOM)
    assert [end is not None and end.has_lost_result for end in ends] == [True, False, False, False]
    lost, *others = ends
    assert others == [done("b"), failed(), None]
    assert lost is not None
    assert lost.is_settled
    (shown,) = results_of([lost])
    assert shown["error"]["type"] == "result_not_storable"
    assert shown["error"]["message"].startswith("result: contains NUL. Let a result_handler")


def test_results_file_has_one_line_for_each_payload(tmp_path: Path) -> None:
    """In order, with the details of each failed job."""
    path = tmp_path / "new" / "results.jsonl"
    write_results(path, [done({"é": 1}), failed(), CANCELLED])
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"index": 0, "state": "SUCCEEDED", "result": {"é": 1}},
        {
            "index": 1,
            "state": "FAILED",
            "error": {
                "type": "busy",
                "message": "in words",
                "retryable": True,
                "details": "Traceback …",
            },
        },
        {
            "index": 2,
            "state": "CANCELLED",
            "error": {
                "type": "cancelled",
                "message": "another one has failed",
                "retryable": False,
                "details": None,
            },
        },
    ]
    assert [each.name for each in path.parent.iterdir()] == ["results.jsonl"]


def test_results_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error names its path."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "new" / "results.jsonl"
    with pytest.raises(ConfigurationError) as caught:
        write_results(path, [done()])
    assert str(caught.value) == (
        f"results_file {path} cannot be written on this worker: Not a directory"
    )


def test_failure_names_counts_types_and_the_first_failed_job() -> None:
    """A cancelled job is named last: another failure is the reason for it."""
    ends = [CANCELLED, done(), None, failed("busy"), failed("bad"), failed("busy")]
    assert str(failure_of(ends, 0)) == (
        "4 of 6 jobs failed: 2 × busy, 1 × cancelled, 1 × bad. "
        "First error: payloads[3]: busy: in words"
    )
    assert first_error([done(), CANCELLED])[0] == 1


@pytest.mark.parametrize(
    ("non_retryable", "tolerated", "kind"),
    [
        (0, 0, KafkaBatchFailed),
        (1, 0, KafkaBatchFailedNonRetryable),
        (2, 2, KafkaBatchFailed),
        (3, 2, KafkaBatchFailedNonRetryable),
    ],
)
def test_retries_are_ruled_out_if_too_many_errors_are_non_retryable(
    non_retryable: int, tolerated: int, kind: type[Exception]
) -> None:
    """Only if these alone are more than may fail."""
    ends = [failed(retryable=False)] * non_retryable + [failed()] * 3 + [CANCELLED] * 3 + [done()]
    failure = failure_of(ends, tolerated)
    assert type(failure) is kind
    assert isinstance(failure, AirflowException)
    assert isinstance(failure, AirflowFailException) == (kind is KafkaBatchFailedNonRetryable)

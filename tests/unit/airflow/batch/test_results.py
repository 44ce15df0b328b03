"""The results of a batch, where they go, and the words of its failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from kafka_bridge.airflow.batch.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedForGood,
    ResultsTooLarge,
)
from kafka_bridge.airflow.batch.job_end import JobEnd
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
from kafka_bridge.airflow.storable import XCOM
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import JobFailure, JobState


def done(result: object = None) -> JobEnd:
    """Return a good end."""
    return JobEnd(JobState.SUCCEEDED, result=result)


def failed(kind: str = "busy", *, retryable: bool = True) -> JobEnd:
    """Return a bad end."""
    error = JobFailure(kind, "in words", "Traceback …", retryable=retryable)
    return JobEnd(JobState.FAILED, error=error)


CANCELLED = JobEnd(JobState.CANCELLED, error=JobFailure("cancelled", "another one has failed"))


def test_results() -> None:
    """Results come in order; in the place of one that is not there stands the error."""
    error = {"type": "busy", "message": "in words", "retryable": True}
    assert results_of([done(1), failed(), done(None)]) == [1, {"error": error}, None]


def test_too_large_for_an_xcom() -> None:
    """More than an XCom should hold is refused, in words that name the way out."""
    with pytest.raises(ResultsTooLarge) as caught:
        require_small_enough(["x" * 600_000, "y" * 600_000])
    assert str(caught.value) == (
        "the results of 2 jobs take 1,200,007 bytes as JSON, and an XCom 1,048,576 at most: set "
        "results_file to have them written to a file, a result_handler that makes less of them, "
        "or do_xcom_push=False if nobody needs them"
    )
    assert isinstance(caught.value, AirflowFailException)


def test_too_many_for_an_xcom() -> None:
    """More results than an XCom takes are refused before the jobs are sent."""
    require_few_enough(XCOM_RESULTS)
    with pytest.raises(ConfigurationError) as caught:
        require_few_enough(XCOM_RESULTS + 1)
    assert str(caught.value) == (
        "the results of 10,001 jobs are too many for an XCom, which takes 10,000 at most: set "
        "results_file to have them written to a file, a result_handler that makes less of them, "
        "or do_xcom_push=False if nobody needs them. Nothing was sent."
    )


def test_results_that_cannot_be_stored() -> None:
    """Each is an error at its place, not to be tried again; the others stay as they are."""
    ends = with_storable_results([done("a\0"), done("b"), failed(), None], XCOM)
    assert [end is not None and end.has_lost_result for end in ends] == [True, False, False, False]
    lost, *others = ends
    assert others == [done("b"), failed(), None]
    assert lost is not None
    assert lost.is_settled
    (shown,) = results_of([lost])
    assert shown["error"]["type"] == "result_not_storable"
    assert shown["error"]["message"].startswith("result: contains NUL. Let a result_handler")


def test_file(tmp_path: Path) -> None:
    """The file has a line for each payload, in order, and the worker's details of each failure."""
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


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A place where nothing can be written is named."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "new" / "results.jsonl"
    with pytest.raises(ConfigurationError) as caught:
        write_results(path, [done()])
    assert str(caught.value) == (
        f"results_file {path} cannot be written on this worker: Not a directory"
    )


def test_failure_in_words() -> None:
    """Counts, types and the first real failure: being cancelled is but the consequence."""
    ends = [CANCELLED, done(), None, failed("busy"), failed("bad"), failed("busy")]
    assert str(failure_of(ends, 0)) == (
        "4 of 6 jobs failed: 2 × busy, 1 × cancelled, 1 × bad. "
        "The first is that of payloads[3]: busy: in words"
    )
    assert first_error([done(), CANCELLED])[0] == 1


@pytest.mark.parametrize(
    ("for_good", "tolerated", "kind"),
    [
        (0, 0, KafkaBatchFailed),
        (1, 0, KafkaBatchFailedForGood),
        (2, 2, KafkaBatchFailed),
        (3, 2, KafkaBatchFailedForGood),
    ],
)
def test_whether_retries_help(for_good: int, tolerated: int, kind: type[Exception]) -> None:
    """Retries are ruled out where more jobs than may have failed for good."""
    ends = [failed(retryable=False)] * for_good + [failed()] * 3 + [CANCELLED] * 3 + [done()]
    failure = failure_of(ends, tolerated)
    assert type(failure) is kind
    assert isinstance(failure, AirflowException)
    assert isinstance(failure, AirflowFailException) == (kind is KafkaBatchFailedForGood)

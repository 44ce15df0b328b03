"""What a service's answer says of a job, under the words and expressions of the file."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.job_status import (
    USUAL_WORDS,
    AnswerUnreadable,
    ServiceState,
    StatusReport,
    read_answer,
)
from kafka_bridge.protocol.messages import Progress
from kafka_bridge.worker import ApplicationError

S = ServiceState


def read(body: Any, **answer: Any) -> StatusReport:
    """Return what a body says under these keys of ``answer``."""
    return read_answer(Answer.model_validate(answer), body)


def state_of(word: Any, **answer: Any) -> ServiceState:
    """Return the state that a word means."""
    return read({"status": word}, **answer).state


def error_of(body: dict[str, Any], **answer: Any) -> ApplicationError:
    """Return the error of a failed job."""
    error = read({"status": "failed", **body}, **answer).error
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("COMPLETED", S.SUCCEEDED),
        ("Succeeded", S.SUCCEEDED),
        (" done ", S.SUCCEEDED),
        ("FAILURE", S.FAILED),
        ("timed-out", S.FAILED),
        ("Timed Out", S.FAILED),
        ("Canceled", S.CANCELLED),
        ("In Progress", S.RUNNING),
    ],
)
def test_usual_words_are_known_however_they_are_spelt(word: str, state: ServiceState) -> None:
    """Case, spaces and hyphens do not count."""
    report = read({"status": word})
    assert (report.state, report.unknown_word) == (state, None)


def test_no_usual_word_means_two_states() -> None:
    """All are spelt as they are looked up."""
    words = [word for words in USUAL_WORDS.values() for word in words]
    assert len(words) == len(set(words))
    assert all(word == word.casefold() and " " not in word and "-" not in word for word in words)


def test_listed_words_take_the_place_of_the_usual_ones() -> None:
    """For their own state only: the others keep theirs."""
    listed = {"succeeded": ["Closed"]}
    assert state_of("CLOSED", **listed) is S.SUCCEEDED
    assert state_of("failed", **listed) is S.FAILED
    report = read({"status": "done"}, **listed)
    assert (report.state, report.unknown_word) == (S.RUNNING, "done")


def test_two_listed_words_may_differ_by_case_only() -> None:
    """The exact one counts first."""
    listed = {"failed": ["done"], "cancelled": ["DONE"], "running": ["Closed"]}
    words = ["done", "DONE", "closed"]
    assert [state_of(word, **listed) for word in words] == [S.FAILED, S.CANCELLED, S.RUNNING]


@pytest.mark.parametrize(("value", "word"), [("GELUKT", "GELUKT"), (7, "7"), (True, "true")])
def test_unknown_word_counts_as_running_and_is_named(value: Any, word: str) -> None:
    """The job goes on, and a person can see why it may never end."""
    report = read({"status": value})
    assert (report.state, report.unknown_word) == (S.RUNNING, word)


@pytest.mark.parametrize(
    ("value", "answer", "state"),
    [
        (True, {"succeeded": ["true"], "running": ["false"]}, S.SUCCEEDED),
        (False, {"succeeded": ["true"], "running": ["false"]}, S.RUNNING),
        (200, {"succeeded": ["200"]}, S.SUCCEEDED),
    ],
)
def test_state_may_be_a_number_or_a_truth_value(
    value: Any, answer: dict[str, Any], state: ServiceState
) -> None:
    """The file writes them as JSON does."""
    assert state_of(value, **answer) is state


def test_unlisted_word_is_no_answer_where_the_file_lists_the_words_of_a_running_job() -> None:
    """The error names every word that would be one, and quotes the answer."""
    with pytest.raises(AnswerUnreadable) as unreadable:
        read({"status": "paused"}, running=["running", "idle"], failed=["broken"])
    assert str(unreadable.value) == (
        "'status' must be the state of the job (completed, broken, cancelled, running, idle), "
        'but it is paused in {"status": "paused"}'
    )


@pytest.mark.parametrize("body", [None, "done", 7, [], {}, {"status": None}, {"status": ["done"]}])
def test_answer_without_a_state_is_unreadable(body: Any) -> None:
    """It may be of another service: nothing is guessed."""
    with pytest.raises(AnswerUnreadable, match="'status' must be the state of the job"):
        read(body)


def test_expression_that_fails_makes_the_answer_unreadable() -> None:
    """The words say which part of the answer it failed on."""
    with pytest.raises(AnswerUnreadable, match=r"the answer is .*running"):
        read({"status": "running"}, message="length(status_code)")


@pytest.mark.parametrize(
    ("body", "progress"),
    [
        ({"progress": 3}, Progress(3.0)),
        ({"progress": {"completed": 3, "total": 10, "unit": "rows"}}, Progress(3.0, 10.0, "rows")),
        ({"progress": {"completed": 0, "total": "ten"}}, Progress(0.0)),
        ({"progress": "3"}, None),
        ({"progress": True}, None),
        ({"progress": {"total": 10}}, None),
        ({}, None),
    ],
)
def test_progress_that_is_missing_or_no_number_is_left_out(
    body: dict[str, Any], progress: Progress | None
) -> None:
    """It is no error: the job goes on, and its state counts."""
    assert read({"status": "running", **body}).progress == progress


def test_only_a_success_has_a_result_and_only_a_failure_an_error() -> None:
    """A service may send both all the time."""
    body = {"result": {"n": 1}, "error": "none yet", "message": "at it"}
    for word in ("completed", "failed", "cancelled", "running"):
        report = read({"status": word, **body})
        assert report.result == ({"n": 1} if word == "completed" else None)
        assert (report.error is not None) == (word == "failed")
        assert report.message == "at it"


def test_result_is_found_where_the_file_says() -> None:
    """Or in ``result``; a result that is missing is null."""
    assert read({"status": "done", "data": {"x": [1, 2]}}, result="data.x[1]").result == 2
    assert read({"status": "done", "data": 1}).result is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"error": {"type": "DiskFull", "message": "no space", "details": "at /", "code": 9}},
            ("DiskFull", "no space", "at /", True),
        ),
        ({"error": {"code": 28, "message": "no"}}, ("28", "no", "", True)),
        ({"error": "no space", "details": ["a"]}, ("job_failed", "no space", '["a"]', True)),
        ({"message": "no", "code": "E1"}, ("E1", "no", "", True)),
        ({"error": {"message": "no", "retryable": False}}, ("job_failed", "no", "", False)),
        ({"error": {"message": "no", "retryable": "no"}}, ("job_failed", "no", "", True)),
    ],
)
def test_error_has_the_services_own_words(
    body: dict[str, Any], told: tuple[str, str, str, bool]
) -> None:
    """Type, message, details, and whether a retry may help: it may unless the service says no."""
    error = error_of(body)
    assert (error.type, str(error), error.details, error.retryable) == told


def test_failure_without_a_message_quotes_the_answer() -> None:
    """A person has to find out what happened."""
    assert str(error_of({"x": 1})) == 'no error message in {"status": "failed", "x": 1}'

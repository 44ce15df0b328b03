"""Completes a batch's task: returns its results, or raises what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.batch.ends import BatchEnds, read_ends
from kafka_bridge.airflow.batch.exceptions import KafkaBatchTimedOut, ResultsTooLarge
from kafka_bridge.airflow.batch.job_end import JobEnd
from kafka_bridge.airflow.batch.results import (
    failure_of,
    first_error,
    lost_results,
    require_small_enough,
    results_of,
    with_storable_results,
    write_results,
)
from kafka_bridge.airflow.batch.specs import BatchSpec
from kafka_bridge.airflow.batch.stored_batch import Batch
from kafka_bridge.airflow.exceptions import KafkaJobWaitFailed
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.outcomes import SPRING_IS_SILENT, is_stored_by_airflow
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.storable import JSON_FILE, XCOM
from kafka_bridge.kafka.admin.diagnosis import diagnose
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError, JobError, RecordGone
from kafka_bridge.protocol.messages import ErrorType
from kafka_bridge.protocol.sanitize import block

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

_TIMEOUTS = {ErrorType.NOT_STARTED, ErrorType.WORKER_LOST, ErrorType.DEADLINE_EXCEEDED}


class Log(Protocol):
    """The part of a logger that is used here."""

    def info(self, event: str, /, *args: object) -> object:
        """Write a line."""

    def warning(self, event: str, /, *args: object) -> object:
        """Write a warning."""

    def error(self, event: str, /, *args: object) -> object:
        """Write a line about an error."""


class Completion:
    """The last step of a batch's task, after its trigger has fired.

    :raises ConfigurationError: the task state store has no batch of this task
    """

    def __init__(self, spec: BatchSpec, kafka: KafkaConfig, context: Context, log: Log) -> None:
        stored = Batch.load(context["task_state_store"])
        if stored is None:
            raise ConfigurationError(
                "the task state store has no batch of this task: it was emptied while the batch "
                "ran. Clear the task to submit the batch again"
            )
        self.batch = stored
        self._spec = spec
        self._kafka = kafka
        self._context = context
        self._log = log

    def outcome(self, event: dict[str, Any]) -> Any:
        """Return the results, or with ``results_file``, a summary.

        A batch that fails its task is abandoned: a retry submits its retryable jobs again.

        :param event: the payload of the trigger's event
        :raises JobError: the batch failed, or a timeout ended it
        :raises KafkaJobWaitFailed: the triggerer could not go on waiting
        :raises RecordGone: responses are no longer in their topic
        :raises ResultsTooLarge: the results are too large for an XCom
        """
        try:
            if "error" in event:
                self._raise_wait_failure(event["error"], event["message"])
            return self._outcome()
        except JobError:
            self.batch.given_up().save(self._context["task_state_store"])
            raise

    def _raise_wait_failure(self, error: str, message: str) -> NoReturn:
        words = f"{error}: {message}"
        if error not in _TIMEOUTS:
            raise KafkaJobWaitFailed(words)
        spec = self._spec
        if error == ErrorType.NOT_STARTED:
            words += f". {diagnose(self._kafka, spec.request_topic, spec.broker_timeout)}"
            if spec.reply is Reply.PLAIN:
                words += f" {SPRING_IS_SILENT}"
        raise KafkaBatchTimedOut(words)

    def _outcome(self) -> Any:
        spec, batch = self._spec, self.batch
        stand = read_ends(self._kafka, batch, spec.reply, spec.broker_timeout)
        self._report(stand)
        ends = self._storable(stand.ends)
        ended = [end for end in ends if end is not None]
        if len(ended) == batch.total and spec.results_file:
            write_results(Path(spec.results_file), ended)
        tolerated = spec.tolerated_failures(batch.total)
        if sum(end.error is not None for end in ended) > tolerated:
            self._fail(ends, ended, tolerated)
        if len(ended) < batch.total:
            raise RecordGone(
                f"the responses to {batch.total - len(ended):,} of {batch.total:,} jobs are no "
                f"longer in topic {batch.response_topic!r}: its retention is shorter than the "
                "batch takes"
            )
        return _outcome_of(spec, ended)

    def _fail(self, ends: list[JobEnd | None], ended: Sequence[JobEnd], tolerated: int) -> NoReturn:
        index, error = first_error(ends)
        if error.details:
            words = "The worker's own details of payloads[%d]:\n%s"
            self._log.error(words, index, block(error.details, job_limits().details))
        if len(ended) == self.batch.total and lost_results(ended):
            self._keep_others(ended)
        raise failure_of(ends, tolerated)

    def _storable(self, ends: list[JobEnd | None]) -> list[JobEnd | None]:
        """Return the ends with an error for each result that cannot be stored where results go."""
        if self._spec.returns_results and is_stored_by_airflow():
            return with_storable_results(ends, XCOM)
        if self._spec.returns_results or self._spec.results_file:
            return with_storable_results(ends, JSON_FILE)
        return ends

    def _keep_others(self, ended: Sequence[JobEnd]) -> None:
        """Keep the results of a batch that fails because some of its results cannot be stored.

        The jobs have done their work, and no retry would do it again.
        """
        if self._spec.results_file:
            words = "The results that can be stored are in %s"
            self._log.info(words, self._spec.results_file)
        elif self._spec.returns_results:
            results = results_of(ended)
            try:
                require_small_enough(results)
            except ResultsTooLarge as error:  # the task fails for the payload that is to be named
                self._log.warning("The results that can be stored are not kept: %s", error)
                return
            self._context["ti"].xcom_push("return_value", results)
            self._log.info("The task fails; the results that can be stored are its XCom")

    def _report(self, stand: BatchEnds) -> None:
        """Log and count the jobs' terminal states."""
        last = (stand.ends[index] for index in stand.indices)
        states = Counter(end.state for end in last if end is not None)
        words = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
        batch_id, count = stand.batch.last.batch_id, len(stand.indices)
        self._log.info("Batch %s of %d jobs: %s", batch_id, count, words)
        for state, count in states.items():
            job_metrics.completed(self._spec.job_type, state, None, count=count)


def empty_outcome(spec: BatchSpec, log: Log) -> Any:
    """Return the outcome of a batch without payloads."""
    log.info("The batch is empty: nothing is submitted")
    if spec.results_file:
        write_results(Path(spec.results_file), [])
    return _outcome_of(spec, [])


def _outcome_of(spec: BatchSpec, ends: Sequence[JobEnd]) -> Any:
    """Return the results of all the jobs, or a summary where a file has them.

    :raises ResultsTooLarge: the results are too large for an XCom
    """
    if spec.results_file:
        return _summary(ends, spec.results_file)
    results = results_of(ends)
    if spec.returns_results:
        require_small_enough(results)
    return results


def _summary(ends: Sequence[JobEnd], results_file: str) -> dict[str, Any]:
    failed = sum(end.error is not None for end in ends)
    return {
        "total": len(ends),
        "succeeded": len(ends) - failed,
        "failed": failed,
        "results_file": results_file,
    }

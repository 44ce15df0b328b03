"""Completes a batch's task: returns its results, or raises what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.batch.finished_job import FinishedJob
from kafka_bridge.airflow.batch.results import (
    failure_of,
    first_error,
    lost_results,
    require_small_enough,
    results_of,
    with_storable_results,
    write_results,
)
from kafka_bridge.airflow.batch.rounds import Batch
from kafka_bridge.airflow.batch.specs import BatchSpec
from kafka_bridge.airflow.batch.status import BatchStatus, read_status
from kafka_bridge.airflow.exceptions import KafkaBatchTimedOut, KafkaJobWaitFailed, ResultsTooLarge
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.outcomes import is_stored_by_airflow, storable
from kafka_bridge.airflow.storable import JSON_FILE, XCOM
from kafka_bridge.airflow.submit.timeout_advice import TIMEOUTS, timeout_advice
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.protocol.errors import RecordGone
from kafka_bridge.protocol.messages import ErrorType
from kafka_bridge.protocol.sanitize import block

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class Completion:
    """The last step of a batch's task, after its trigger has fired."""

    def __init__(
        self, batch: Batch, spec: BatchSpec, kafka: KafkaAccess, context: Context, log: TaskLog
    ) -> None:
        self._batch = batch
        self._spec = spec
        self._kafka = kafka
        self._context = context
        self._log = log

    def xcom(self, event: dict[str, Any]) -> Any:
        """Return the task's XCom: the results or their summary, or what ``result_handler`` returns.

        :param event: the payload of the trigger's event
        :raises JobError: the batch failed, or a timeout ended it
        :raises KafkaJobWaitFailed: the triggerer could not go on waiting
        :raises RecordGone: responses are no longer in their topic
        :raises ResultsTooLarge: the results are too large for an XCom
        """
        if "error" in event:
            self._raise_wait_failure(event["error"], event["message"])
        return _xcom_of(self._spec, self._read_jobs())

    def _raise_wait_failure(self, error: str, message: str) -> NoReturn:
        text = f"{error}: {message}"
        if error not in TIMEOUTS:
            raise KafkaJobWaitFailed(text)
        topic = self._spec.request_topic
        advice = timeout_advice(ErrorType(error), self._kafka, topic, time_limit="timeout")
        raise KafkaBatchTimedOut(f"{text}. {advice}")

    def _read_jobs(self) -> list[FinishedJob]:
        spec, batch = self._spec, self._batch
        status = read_status(self._kafka.config, batch, spec.reply, self._kafka.timeout)
        self._report(status)
        jobs = self._storable(status.jobs)
        finished = [job for job in jobs if job is not None]
        if len(finished) == batch.total and spec.results_file:
            write_results(Path(spec.results_file), finished)
        tolerated = spec.tolerated_failures(batch.total)
        if sum(job.error is not None for job in finished) > tolerated:
            self._fail(jobs, finished, tolerated)
        if len(finished) < batch.total:
            raise RecordGone(
                f"the responses to {batch.total - len(finished):,} of {batch.total:,} jobs are no "
                f"longer in topic {batch.response_topic!r}: its retention is shorter than the "
                "batch takes. Increase retention.ms of the topic"
            )
        return finished

    def _fail(
        self, jobs: list[FinishedJob | None], finished: Sequence[FinishedJob], tolerated: int
    ) -> NoReturn:
        index, error = first_error(jobs)
        if error.details:
            words = "The worker's own details of payloads[%d]:\n%s"
            self._log.error(words, index, block(error.details, job_limits().details))
        failure = failure_of(jobs, tolerated)
        if not failure.retryable:
            self._log.error("The batch is not retried: another try could not help its failed jobs")
        if len(finished) == self._batch.total and lost_results(finished):
            self._keep_others(finished)
        raise failure

    def _storable(self, jobs: list[FinishedJob | None]) -> list[FinishedJob | None]:
        """Return the jobs with an error for each result that its destination cannot store."""
        if self._spec.returns_results and is_stored_by_airflow():
            return with_storable_results(jobs, XCOM)
        if self._spec.returns_results or self._spec.results_file:
            return with_storable_results(jobs, JSON_FILE)
        return jobs

    def _keep_others(self, finished: Sequence[FinishedJob]) -> None:
        """Keep the results of a batch that fails because some of its results cannot be stored.

        The jobs have done their work, and no retry would do it again.
        """
        if self._spec.results_file:
            words = "The results that can be stored are in %s"
            self._log.info(words, self._spec.results_file)
        elif self._spec.returns_results:
            results = results_of(finished)
            try:
                require_small_enough(results)
            except ResultsTooLarge as error:  # the task fails with the error that names the payload
                self._log.warning("The results that can be stored are not kept: %s", error)
                return
            self._context["ti"].xcom_push("return_value", results)
            self._log.info("The task fails; the results that can be stored are its XCom")

    def _report(self, status: BatchStatus) -> None:
        """Log and count the jobs' terminal states."""
        last = (status.jobs[index] for index in status.indices)
        states = Counter(job.state for job in last if job is not None)
        words = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
        batch_id, count = status.batch.last.batch_id, len(status.indices)
        self._log.info("Batch %s of %d jobs: %s", batch_id, count, words)
        for state, count in states.items():
            job_metrics.completed(self._spec.job_type, state, None, count=count)


def xcom_of_empty_batch(spec: BatchSpec, log: TaskLog) -> Any:
    """Return the XCom of a batch without payloads."""
    log.info("The batch is empty: nothing is submitted")
    if spec.results_file:
        write_results(Path(spec.results_file), [])
    return _xcom_of(spec, [])


def _xcom_of(spec: BatchSpec, jobs: Sequence[FinishedJob]) -> Any:
    result = spec.result
    if spec.returns_results:
        results = results_of(jobs)
        require_small_enough(results)
        return results
    outcome = _summary(jobs, spec.results_file) if spec.results_file else results_of(jobs)
    if result.handler is not None:
        return storable(result, result.handler(outcome), "what result_handler returned")
    return outcome if result.do_xcom_push else None


def _summary(jobs: Sequence[FinishedJob], results_file: str) -> dict[str, Any]:
    failed = sum(job.error is not None for job in jobs)
    return {
        "total": len(jobs),
        "succeeded": len(jobs) - failed,
        "failed": failed,
        "results_file": results_file,
    }

"""The end of a batch's task: its results, or the error that says what became of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.arguments import Reply
from kafka_bridge.airflow.batch.ends import BatchEnds, read_ends
from kafka_bridge.airflow.batch.exceptions import KafkaBatchTimedOut
from kafka_bridge.airflow.batch.job_end import JobEnd
from kafka_bridge.airflow.batch.ledger import Batch
from kafka_bridge.airflow.batch.results import (
    failure_of,
    first_error,
    require_small_enough,
    results_of,
    write_results,
)
from kafka_bridge.airflow.exceptions import KafkaJobWaitFailed
from kafka_bridge.airflow.outcomes import SPRING_IS_SILENT
from kafka_bridge.kafka.diagnosis import diagnose
from kafka_bridge.protocol.errors import ConfigurationError, JobError, RecordGone
from kafka_bridge.protocol.messages import ErrorType

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.batch.operator import KafkaJobBatchOperator

_TIME_OUTS = {ErrorType.NOT_STARTED, ErrorType.WORKER_LOST, ErrorType.DEADLINE_EXCEEDED}


def complete(operator: KafkaJobBatchOperator, context: Context, event: dict[str, Any]) -> Any:
    """Return what an operator returns when its trigger has fired.

    A batch that fails its task is given up: a retry submits anew what may yet succeed.

    :raises JobError: it failed, or ran out of time
    :raises KafkaJobWaitFailed: the triggerer could not go on waiting
    """
    store = context["task_state_store"]
    batch = Batch.load(store)
    if batch is None:
        raise ConfigurationError(
            "the task state store knows no batch of this task: it was emptied while the batch ran"
        )
    operator.batch = batch.described()
    try:
        if "error" in event:
            _raise_wait_failure(operator, event["error"], event["message"])
        return _outcome(operator, batch)
    except JobError:
        batch.given_up().save(store)
        raise


def _raise_wait_failure(operator: KafkaJobBatchOperator, error: str, message: str) -> NoReturn:
    words = f"{error}: {message}"
    if error not in _TIME_OUTS:
        raise KafkaJobWaitFailed(words)
    if error == ErrorType.NOT_STARTED:
        words += f". {diagnose(operator.kafka, operator.request_topic, operator.delivery_timeout)}"
        if operator.reply is Reply.PLAIN:
            words += f" {SPRING_IS_SILENT}"
    raise KafkaBatchTimedOut(words)


def _outcome(operator: KafkaJobBatchOperator, batch: Batch) -> Any:
    stand = read_ends(operator.kafka, batch, operator.reply, operator.delivery_timeout)
    _report(operator, stand)
    ended = [end for end in stand.ends if end is not None]
    if len(ended) == batch.total and operator.results_file:
        write_results(Path(operator.results_file), ended)
    tolerated = operator.tolerated_failures(batch.total)
    if sum(end.error is not None for end in ended) > tolerated:
        index, error = first_error(stand.ends)
        if error.details:
            words = "The worker's own details of payloads[%d]:\n%s"
            operator.log.error(words, index, error.details)
        raise failure_of(stand.ends, tolerated)
    if len(ended) < batch.total:
        raise RecordGone(
            f"the responses to {batch.total - len(ended):,} of {batch.total:,} jobs are no longer "
            f"in topic {batch.response_topic!r}: its retention is shorter than the batch takes"
        )
    return _returned(operator, ended)


def _report(operator: KafkaJobBatchOperator, stand: BatchEnds) -> None:
    """Say in the log and in the metrics what the jobs came to."""
    last = (stand.ends[index] for index in stand.indices)
    states = Counter(end.state for end in last if end is not None)
    words = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    operator.log.info(
        "Batch %s of %d jobs: %s", stand.batch.last.batch_id, len(stand.indices), words
    )
    for state, count in states.items():
        job_metrics.completed(operator.job_type, state, None, count=count)


def complete_empty(operator: KafkaJobBatchOperator) -> Any:
    """Return what the task of an empty batch returns."""
    operator.log.info("The batch is empty: nothing is submitted")
    if operator.results_file:
        write_results(Path(operator.results_file), [])
    return _returned(operator, [])


def _returned(operator: KafkaJobBatchOperator, ends: list[JobEnd]) -> Any:
    """Return what the operator returns, given all its jobs' ends."""
    if operator.results_file:
        outcome: Any = _summary(ends, operator.results_file)
    else:
        outcome = results_of(ends)
    if operator.result_handler is not None:
        return operator.result_handler(outcome)
    if operator.returns_results:
        require_small_enough(outcome)
    return outcome if operator.do_xcom_push else None


def _summary(ends: list[JobEnd], results_file: str) -> dict[str, Any]:
    failed = sum(end.error is not None for end in ends)
    return {
        "total": len(ends),
        "succeeded": len(ends) - failed,
        "failed": failed,
        "results_file": results_file,
    }

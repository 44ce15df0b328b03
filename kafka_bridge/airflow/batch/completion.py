"""The end of a batch's task: its results, or the error that says what became of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.arguments import Reply
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
from kafka_bridge.airflow.batch.stored_batch import Batch
from kafka_bridge.airflow.exceptions import KafkaJobWaitFailed
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.outcomes import SPRING_IS_SILENT, is_stored_by_airflow, storable
from kafka_bridge.airflow.storable import JSON_FILE, XCOM
from kafka_bridge.kafka.admin.diagnosis import diagnose
from kafka_bridge.protocol.errors import ConfigurationError, JobError, RecordGone
from kafka_bridge.protocol.messages import ErrorType
from kafka_bridge.protocol.sanitize import block

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
        return _outcome(operator, context, batch)
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


def _outcome(operator: KafkaJobBatchOperator, context: Context, batch: Batch) -> Any:
    stand = read_ends(operator.kafka, batch, operator.reply, operator.delivery_timeout)
    _report(operator, stand)
    ends = _storable(operator, stand.ends)
    ended = [end for end in ends if end is not None]
    if len(ended) == batch.total and operator.results_file:
        write_results(Path(operator.results_file), ended)
    tolerated = operator.tolerated_failures(batch.total)
    if sum(end.error is not None for end in ended) > tolerated:
        index, error = first_error(ends)
        if error.details:
            words = "The worker's own details of payloads[%d]:\n%s"
            operator.log.error(words, index, block(error.details, job_limits().details))
        if len(ended) == batch.total and lost_results(ended):
            _keep_others(operator, context, ended)
        raise failure_of(ends, tolerated)
    if len(ended) < batch.total:
        raise RecordGone(
            f"the responses to {batch.total - len(ended):,} of {batch.total:,} jobs are no longer "
            f"in topic {batch.response_topic!r}: its retention is shorter than the batch takes"
        )
    return _returned(operator, ended)


def _storable(operator: KafkaJobBatchOperator, ends: list[JobEnd | None]) -> list[JobEnd | None]:
    """Return the ends with an error for each result that cannot be stored where results go."""
    if operator.returns_results and is_stored_by_airflow():
        return with_storable_results(ends, XCOM)
    if operator.returns_results or operator.results_file:
        return with_storable_results(ends, JSON_FILE)
    return ends


def _keep_others(operator: KafkaJobBatchOperator, context: Context, ended: list[JobEnd]) -> None:
    """Keep the results of a batch that fails because some of its results cannot be stored.

    The jobs have done their work, and no retry would do it again.
    """
    if operator.results_file:
        operator.log.info("The results that can be stored are in %s", operator.results_file)
    elif operator.returns_results:
        results = results_of(ended)
        try:
            require_small_enough(results)
        except ResultsTooLarge as error:  # the task fails for the payload that is to be named
            operator.log.warning("The results that can be stored are not kept: %s", error)
            return
        context["ti"].xcom_push("return_value", results)
        operator.log.info("The results that can be stored are the XCom of this task, which fails")


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
        handled = operator.result_handler(outcome)
        return storable(operator, handled, "what result_handler returned")
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

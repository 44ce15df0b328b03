"""The batch operator: publishes thousands of jobs, defers once, and returns their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.batch.specs import BatchSpec, BatchWaitSpec, OnFailure
from kafka_bridge.airflow.batch.trigger import KafkaJobBatchTrigger
from kafka_bridge.airflow.exceptions import KafkaJobKilled, without_frames
from kafka_bridge.airflow.links import BatchLink
from kafka_bridge.airflow.resume_delay import usual_resume_delay
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.specs import Reply, ResultSpec
from kafka_bridge.airflow.waiting_operator import how_long, seconds_here
from kafka_bridge.protocol.errors import ConfigurationError, JobError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.definitions.xcom_arg import XComArg

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.batch.rounds import Batch, Round


_REFUSED = {
    "payload": "a batch has no payload: set payloads, with one payload for each job",
    "start_to_close_timeout": (
        "a batch has no start_to_close_timeout: set timeout, for all of its jobs together"
    ),
    "schedule_to_close_timeout": (
        "a batch has no schedule_to_close_timeout: set timeout, for all of its jobs together"
    ),
    "progress_timeout": (
        "a batch has no progress_timeout: set heartbeat_timeout, or a time_limit on the handler"
    ),
    "on_retry": (
        "a batch has no on_retry: a retry publishes what is left of it, and a cleared task "
        "submits it again"
    ),
    "end_from_trigger": "a batch has no end_from_trigger: a worker must read its results",
}
"""Arguments of :class:`KafkaJobOperator` that a batch does not have, and why."""


def _without_refused(kwargs: dict[str, Any]) -> dict[str, Any]:
    for name in _REFUSED.keys() & kwargs.keys():
        raise ConfigurationError(_REFUSED[name])
    return kwargs


class KafkaJobBatchOperator(BridgeOperator):
    """Hands thousands of jobs to a service over Kafka as one task, and returns their results.

    All requests are published at once: Kafka is the queue. One trigger waits for all of them,
    without a worker slot. The results are the task's XCom, a list in the order of the payloads, or
    a file. A retry never repeats a job that has succeeded: it publishes the jobs that an earlier
    try did not publish, and submits again the jobs that failed with a retryable error.

    :param job_type: what the service does with each payload, a dotted name (templated)
    :param payloads: one payload for each job: a list, another iterable, or an XCom (templated)
    :param payloads_file: instead, a file that is read as a stream: one JSON value on each line
        (``.jsonl``, ``.ndjson``), or the rows of a ``.parquet`` file, which needs the extra
        ``parquet`` (templated)
    :param payload_model: a pydantic model, dataclass or other type; a payload that does not fit it
        fails the task before anything is sent, and the error names it
    :param results_file: write the results to this file, one JSON object on each line, and return
        a summary; needed for more than 10,000 results or 1 MiB (templated)
    :param result_handler: called with the results, however many, or with the summary if
        ``results_file`` is set; its return value is the task's XCom. If it fails, a retry calls it
        again and does not run the jobs again
    :param on_failure: ``"fail_fast"``: the first failed job ends the batch and cancels its
        unfinished jobs. ``"collect"``: the task waits for all jobs; in the list, a failed one is
        ``{"error": {"type": …, "message": …, "retryable": …}}``
    :param max_failures: with ``"collect"``, how many jobs may fail without failing the task. None:
        any number, but not all
    :param request_topic: where the service reads its jobs (templated)
    :param response_topic: where it answers (templated)
    :param timeout: how long the whole batch may take, a timedelta or seconds; None is for ever
    :param heartbeat_interval: the longest time between two heartbeats of a running job
    :param heartbeat_timeout: how long no worker may publish anything while jobs run
    :param schedule_to_start_timeout: the same while all unfinished jobs are queued; None is for
        ever
    :param reply: ``"plain"`` for a request-reply service that does not use the protocol, as with
        :class:`KafkaJobPublishOperator`. Then only ``timeout`` and ``schedule_to_start_timeout``
        apply
    :param progress_log_interval: the shortest time between two progress lines in the task's log
    :param deferrable: wait in a triggerer, which holds no worker slot; False: wait in the task's
        own process. None: what ``[operators] default_deferrable`` says
    :param wait_before_deferring: how long a deferrable task waits for its jobs in its own process,
        before it defers, a timedelta or seconds; 0: it defers at once
    :param kafka_config_id: the Airflow connection
    :param control_topic: where jobs are cancelled (templated)
    :param encoding: ``"avro"`` or ``"json"``; the service answers in the same one
    :param broker_timeout: how long the brokers may take for each answer
    :param cancel_on_kill: cancel the unfinished jobs when the task is marked failed or succeeded,
        cleared or killed, and after a timeout

    :raises ConfigurationError: an argument is invalid
    """

    template_fields: Sequence[str] = (
        "job_type",
        "payloads",
        "payloads_file",
        "results_file",
        "request_topic",
        "response_topic",
        "control_topic",
        "batch",
    )
    template_fields_renderers = {"payloads": "json", "batch": "json"}  # noqa: RUF012  Airflow's form
    overwrite_rtif_after_execution = True  # so that the rendered view shows the batch
    ui_color = "#e8f0e4"

    batch: dict[str, Any] | None = None
    """The facts of the batch, once it is submitted, for the rendered view and the link."""
    published: Round | None = None
    """The jobs to cancel when this process is killed."""

    def __init__(
        self,
        *,
        job_type: str,
        payloads: Iterable[Any] | XComArg | None = None,
        payloads_file: str | None = None,
        payload_model: Any = None,
        results_file: str | None = None,
        result_handler: Callable[[Any], Any] | None = None,
        on_failure: str = OnFailure.FAIL_FAST,
        max_failures: int | None = None,
        request_topic: str | Setting = CONFIGURED,
        response_topic: str | Setting = CONFIGURED,
        timeout: Duration | None = None,
        heartbeat_interval: Duration | Setting = CONFIGURED,
        heartbeat_timeout: Duration | Setting = CONFIGURED,
        schedule_to_start_timeout: Duration | Setting | None = CONFIGURED,
        progress_log_interval: Duration = 5.0,
        reply: str = "events",
        deferrable: bool | None = None,
        wait_before_deferring: Duration | Setting = CONFIGURED,
        kafka_config_id: str | Setting = CONFIGURED,
        control_topic: str | Setting = CONFIGURED,
        encoding: str | Setting = CONFIGURED,
        broker_timeout: Duration = 30.0,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kafka_config_id=kafka_config_id,
            control_topic=control_topic,
            encoding=encoding,
            reply=reply,
            schedule_to_start_timeout=schedule_to_start_timeout,
            broker_timeout=broker_timeout,
            cancel_on_kill=cancel_on_kill,
            **_without_refused(kwargs),
        )
        self.job_type = job_type
        self.payloads = payloads
        self.payloads_file = payloads_file
        self.payload_model = payload_model
        self.results_file = results_file
        self.result_handler = result_handler
        self.on_failure = OnFailure(arguments.choice("on_failure", on_failure, list(OnFailure)))
        self.max_failures = max_failures
        self.request_topic = arguments.text("request_topic", request_topic)
        self.response_topic = arguments.text("response_topic", response_topic)
        self._set_times(timeout, heartbeat_interval, heartbeat_timeout, progress_log_interval)
        self.deferrable = arguments.deferrable(deferrable)
        self.wait_before_deferring = arguments.seconds(
            "wait_before_deferring", wait_before_deferring, may_be_0=True
        )
        self._check_arguments()

    def _set_times(
        self,
        timeout: Duration | None,
        heartbeat_interval: Duration | Setting,
        heartbeat_timeout: Duration | Setting,
        progress_log_interval: Duration,
    ) -> None:
        seconds = arguments.seconds
        self.timeout = arguments.limit("timeout", timeout)
        self.heartbeat_interval = seconds("heartbeat_interval", heartbeat_interval)
        self.heartbeat_timeout = seconds("heartbeat_timeout", heartbeat_timeout)
        self.progress_log_interval = seconds("progress_log_interval", progress_log_interval)
        arguments.require_longer(self.heartbeat_timeout, self.heartbeat_interval)

    def _check_arguments(self) -> None:
        if (self.payloads is None) == (self.payloads_file is None):
            raise ConfigurationError("a batch needs payloads or payloads_file, and not both")
        if self.max_failures is not None and self.on_failure is not OnFailure.COLLECT:
            raise ConfigurationError("max_failures needs on_failure='collect'")
        if self.max_failures is not None and self.max_failures < 0:
            raise ConfigurationError(f"max_failures must be 0 or more, not {self.max_failures}")
        arguments.require_storable_fields(self)

    @property
    def operator_extra_links(self) -> tuple[BaseOperatorLink, ...]:  # type: ignore[override]
        """The link to the board, or to another page that is configured."""
        return BatchLink.where_configured()

    @property
    def spec(self) -> BatchSpec:
        """The batch as the operator describes it now; its templates must be rendered."""
        return BatchSpec(
            job_type=self.job_type,
            payloads=self.payloads,
            payloads_file=self.payloads_file,
            payload_model=self.payload_model,
            results_file=self.results_file,
            result=ResultSpec(self.result_handler, self.do_xcom_push, self.multiple_outputs),
            on_failure=self.on_failure,
            max_failures=self.max_failures,
            request_topic=self.request_topic,
            response_topic=self.response_topic,
            control_topic=self.control_topic,
            encoding=self.encoding,
            reply=self.reply,
            timeout=self.timeout,
            heartbeat_interval=self.heartbeat_interval,
        )

    def execute(self, context: Context) -> Any:
        """Publish the jobs and wait until the batch has finished. An empty batch returns at once.

        :raises ConfigurationError: the payloads cannot be read
        :raises InvalidPayload: a payload does not fit its model; nothing was sent
        :raises PayloadNotSerialisable: a payload has no JSON form; nothing was sent
        :raises RecordTooLarge: a payload is too large
        :raises KafkaError: a topic is missing, or the brokers did not accept a request
        :raises KafkaJobKilled: the process was killed meanwhile, or a person ended the task
        """
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.batch.completion import xcom_of_empty_batch  # noqa: PLC0415
        from kafka_bridge.airflow.batch.submission import submit  # noqa: PLC0415

        batch = submit(
            self.spec, self._wait_spec, self.kafka, context, self.log, self._will_publish
        )
        if batch is None:
            return xcom_of_empty_batch(self.spec, self.log)
        self.batch = batch.described()
        if self.killed and self.cancel_on_kill:
            raise KafkaJobKilled("the task was killed while it published its batch")
        seconds = seconds_here(self)
        event = None if seconds == 0 else self._wait_here(batch, seconds)
        if event is None:
            self.stop_if_ended(context)
            trigger = KafkaJobBatchTrigger.of(self._wait_spec(batch, usual_resume_delay()))
            facts = {"batch": batch.to_json()}
            self.defer(trigger=trigger, method_name="execute_complete", kwargs=facts)
        return self.execute_complete(context, event, batch.to_json())

    def _wait_here(self, batch: Batch, seconds: float | None) -> dict[str, Any] | None:
        """Wait in this process; return what the trigger would fire, or None if time is up."""
        from kafka_bridge.airflow.batch.wait import BatchWait  # noqa: PLC0415
        from kafka_bridge.airflow.triggerer.in_task import event_within  # noqa: PLC0415

        words = "Waiting for batch %s in this worker slot %s"
        self.log.info(words, batch.last.batch_id, how_long(seconds))
        wait = BatchWait(self._wait_spec(batch), self.log)
        return event_within(wait, self.kafka, self.response_topic, seconds)

    def _will_publish(self, jobs: Round) -> None:
        self.published = jobs

    def _wait_spec(self, batch: Batch, resume_delay: float = 0.0) -> BatchWaitSpec:
        last = batch.last
        return BatchWaitSpec(
            batch_id=last.batch_id,
            count=last.count,
            kafka_config_id=self.kafka_config_id,
            response_topic=self.response_topic,
            control_topic=self.control_topic,
            encoding=self.encoding,
            start_offsets=last.ends,
            submitted_at=last.created_ms / 1000,
            on_failure=self.on_failure,
            timeout=self.timeout,
            heartbeat_timeout=self.heartbeat_timeout,
            schedule_to_start_timeout=self.schedule_to_start_timeout,
            cancel_on_kill=self.cancel_on_kill and self.reply is not Reply.PLAIN,
            progress_log_interval=self.progress_log_interval,
            not_before=time.time() + resume_delay,
            resume_delay=resume_delay,
            reply=self.reply,
        )

    def execute_complete(
        self, context: Context, event: dict[str, Any], batch: dict[str, Any] | None = None
    ) -> Any:
        """Read the jobs' terminal events, and return their results in order.

        :param event: what the trigger fired
        :param batch: the batch; ``dag.test()`` drops it, and it is looked up again
        :raises KafkaBatchFailed: too many jobs failed; the task's retries apply
        :raises KafkaBatchFailedNonRetryable: too many jobs failed with a non-retryable error
        :raises KafkaBatchTimedOut: a timeout ended the batch; the task's retries apply
        :raises KafkaJobWaitFailed: the triggerer could not go on waiting
        :raises RecordGone: responses are no longer in their topic
        :raises ResultsTooLarge: the results are too large for an XCom
        """
        from kafka_bridge.airflow.batch.completion import Completion  # noqa: PLC0415
        from kafka_bridge.airflow.batch.rounds import Batch  # noqa: PLC0415

        known = Batch.from_json(batch) if batch else self._known_batch(context)
        self.batch = known.described()
        completion = Completion(known, self.spec, self.kafka, context, self.log)
        try:
            return completion.xcom(event)
        except JobError as error:
            raise without_frames(error) from None

    def _known_batch(self, context: Context) -> Batch:
        """Return the batch that this task has submitted last, as Kafka knows it.

        :raises ConfigurationError: the request topic has no request of this task
        """
        from kafka_bridge.airflow.batch.submission import submitted_batch  # noqa: PLC0415

        batch = submitted_batch(self.spec, self.kafka, context)
        if batch is None:
            raise ConfigurationError(
                f"topic {self.request_topic!r} has no request of this resumed task: clear the task "
                "to submit the batch again"
            )
        return batch

    def on_kill(self) -> None:
        """Cancel the jobs that this process has published; Airflow calls this when it kills it."""
        super().on_kill()
        if self.published is not None and self.cancel_on_kill:
            self.kafka.cancel_all(self.published.job_ids(), "the task was killed")

"""The batch operator: publishes thousands of jobs, defers once, and returns their results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.batch.trigger import KafkaJobBatchTrigger, OnFailure
from kafka_bridge.airflow.links import BatchLink
from kafka_bridge.airflow.resume_delay import settle_seconds
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.waiting_operator import first_event
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.definitions.xcom_arg import XComArg

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.batch.stored_batch import Batch, Round


_REFUSED = {
    "payload": "a batch takes payloads, one for each of its jobs, and no payload",
    "start_to_close_timeout": (
        "a batch has no start_to_close_timeout: set timeout, for all of its jobs together"
    ),
    "on_retry": (
        "a batch has no on_retry: a retry does what is left of it, a cleared task begins anew"
    ),
    "end_from_trigger": "a batch has no end_from_trigger: a worker must read its results",
}
"""What an author who knows :class:`KafkaJobOperator` may ask for, and why it is not there."""


class KafkaJobBatchOperator(BridgeOperator):
    """Hands thousands of jobs to a service over Kafka as one task, and returns their results.

    All requests are published at once: Kafka is the queue. One trigger waits for all of them,
    without a worker slot. The results are the task's XCom, a list in the order of the payloads, or
    a file. A retry never repeats what has succeeded: it publishes what an earlier try did not come
    to, and submits anew what has failed but may yet succeed.

    :param job_type: what the service is to do with each payload, a dotted name (templated)
    :param payloads: one payload for each job: a list, another iterable, or an XCom (templated)
    :param payloads_file: instead, a file that is read as a stream: one JSON value on each line
        (``.jsonl``, ``.ndjson``), or the rows of a ``.parquet`` file, for which the extra
        ``parquet`` is installed (templated)
    :param payload_model: a pydantic model, dataclass or other type; a payload that does not fit it
        fails the task before anything is sent, and is named
    :param results_file: write the results to this file, one JSON object on each line, and return
        a summary; needed where they are more than 10,000 or than 1 MiB (templated)
    :param result_handler: called with the results, however many, or with the summary where they are
        in a file; what it returns is the task's XCom. A retry after it has failed calls it again,
        and does not run the jobs again
    :param on_failure: ``"fail_fast"``: the first job that fails ends the batch and cancels what is
        unfinished. ``"collect"``: all jobs are waited for; in the list, one that failed is
        ``{"error": {"type": …, "message": …, "retryable": …}}``
    :param max_failures: with ``"collect"``, how many jobs may fail until the task does. None: any
        number, but not all
    :param request_topic: where the service takes its jobs from (templated)
    :param response_topic: where it answers (templated)
    :param timeout: how long the whole batch may take, a timedelta or seconds; None is for ever
    :param heartbeat_interval: how often a job's worker must at least speak
    :param heartbeat_timeout: how long all workers may be silent while jobs run
    :param schedule_to_start_timeout: the same while all that is left is queued; None is for ever
    :param reply: ``"plain"`` for a stock request-reply service, as with
        :class:`KafkaJobPublishOperator`. Then ``timeout`` and ``schedule_to_start_timeout``
        are all the limits there are
    :param progress_log_interval: the shortest time between two progress lines in the task's log
    :param deferrable: wait in a triggerer, which holds no worker slot; False for deployments
        without one

    The others are those of :class:`BridgeOperator`, but for ``start_to_close_timeout``.

    :raises ConfigurationError: a value makes no sense
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
    operator_extra_links = (BatchLink(),)
    overwrite_rtif_after_execution = True  # so that the rendered view shows the batch
    ui_color = "#e8f0e4"

    published: Round | None = None
    """The jobs that are to be cancelled when this process is killed."""

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
        progress_log_interval: Duration = 5.0,
        reply: str = "events",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        for name in _REFUSED.keys() & kwargs.keys():
            raise ConfigurationError(_REFUSED[name])
        super().__init__(**kwargs)
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
        self.timeout = arguments.limit("timeout", timeout)
        self.heartbeat_interval = arguments.seconds("heartbeat_interval", heartbeat_interval)
        self.heartbeat_timeout = arguments.seconds("heartbeat_timeout", heartbeat_timeout)
        self.progress_log_interval = arguments.seconds(
            "progress_log_interval", progress_log_interval
        )
        self.reply = arguments.reply(reply, self.encoding)
        self.deferrable = deferrable
        self.batch: dict[str, Any] | None = None
        self._check_arguments()

    def _check_arguments(self) -> None:
        if (self.payloads is None) == (self.payloads_file is None):
            raise ConfigurationError("a batch needs either payloads or payloads_file")
        if self.max_failures is not None and self.on_failure is not OnFailure.COLLECT:
            raise ConfigurationError("max_failures goes with on_failure='collect' only")
        if self.max_failures is not None and self.max_failures < 0:
            raise ConfigurationError(f"max_failures must be 0 or more, not {self.max_failures}")
        arguments.require_longer(self.heartbeat_timeout, self.heartbeat_interval)
        arguments.require_storable_fields(self)

    def execute(self, context: Context) -> Any:
        """Publish the jobs and wait until the batch ends. An empty one is done at once.

        :raises ConfigurationError: the payloads cannot be had
        :raises InvalidPayload: one does not fit its model; it is named, and nothing was sent
        :raises PayloadNotSerialisable: one has no JSON form; it is named, and nothing was sent
        :raises RecordTooLarge: one is too large; it is named
        :raises KafkaError: a topic is missing, or the brokers did not take a request
        :raises KafkaJobKilled: the process was told to end meanwhile, or a person ended the task
        """
        from kafka_bridge.airflow.batch.completion import complete_empty
        from kafka_bridge.airflow.batch.submission import submit
        from kafka_bridge.airflow.exceptions import KafkaJobKilled

        batch = submit(self, context)
        if batch is None:
            return complete_empty(self)
        self.batch = batch.described()
        if self.killed and self.cancel_on_kill:
            raise KafkaJobKilled("the task was told to end while it published its batch")
        if self.deferrable:
            self.stop_if_ended(context)
            trigger = self._trigger(batch, settle_seconds())
            self.defer(trigger=trigger, method_name="execute_complete")
        self.log.info("Waiting here for batch %s", batch.last.batch_id)
        event = asyncio.run(first_event(self._trigger(batch, 0.0)))
        return self.execute_complete(context, event)

    def _trigger(self, batch: Batch, settle: float) -> KafkaJobBatchTrigger:
        last = batch.last
        return KafkaJobBatchTrigger(
            batch_id=last.batch_id,
            count=last.count,
            kafka_config_id=self.kafka_config_id,
            response_topic=self.response_topic,
            control_topic=self.control_topic,
            encoding=self.encoding.value,
            start_offsets=last.response_offsets,
            submitted_at=last.created_ms / 1000,
            on_failure=self.on_failure.value,
            timeout=self.timeout,
            heartbeat_timeout=self.heartbeat_timeout,
            schedule_to_start_timeout=self.schedule_to_start_timeout,
            cancel_on_kill=self.cancel_on_kill,
            progress_log_interval=self.progress_log_interval,
            not_before=time.time() + settle,
            settle_seconds=settle,
            reply=self.reply.value,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Read what the jobs came to, and return their results in order.

        :raises KafkaBatchFailed: too many failed; the task's retries apply
        :raises KafkaBatchFailedForGood: too many failed, and trying again cannot help
        :raises KafkaBatchTimedOut: a waiting rule ended the batch; the task's retries apply
        :raises KafkaJobWaitFailed: the triggerer could not go on waiting
        :raises RecordGone: responses are no longer in their topic
        :raises ResultsTooLarge: the results are too many for an XCom
        """
        from kafka_bridge.airflow.batch.completion import complete

        return complete(self, context, event)

    def on_kill(self) -> None:
        """Cancel what this process has published; Airflow calls this when it kills the task."""
        super().on_kill()
        if self.published is not None and self.cancel_on_kill:
            self.cancel_jobs(self.published.job_ids(), "the task was killed")

    def cancel_jobs(self, jobs: Sequence[str], reason: str) -> None:
        """Tell the workers to stop jobs. That this could not be done is logged, not raised.

        A stock service cannot be told.
        """
        if self.reply is arguments.Reply.PLAIN:
            return
        from kafka_bridge.kafka.commands import cancel_all
        from kafka_bridge.protocol.errors import KafkaBridgeError

        try:
            cancel_all(
                self.kafka,
                self.control_topic,
                jobs,
                reason,
                encoding=self.encoding,
                timeout=self.delivery_timeout,
            )
        except KafkaBridgeError as error:
            self.log.warning("%d jobs could not be cancelled: %s", len(jobs), error)
        else:
            self.log.info("%d jobs: CANCEL is sent: %s", len(jobs), reason)

    @property
    def returns_results(self) -> bool:
        """Whether the results themselves are the task's XCom."""
        return self.do_xcom_push and self.results_file is None and self.result_handler is None

    def tolerated_failures(self, total: int) -> int:
        """Return how many of so many jobs may fail until the task does."""
        if self.on_failure is OnFailure.FAIL_FAST:
            return 0
        return total - 1 if self.max_failures is None else self.max_failures

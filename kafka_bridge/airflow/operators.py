"""The operator: publishes a job request, defers, and returns the worker's result."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.exceptions import KafkaJobKilled, outcome_of
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.publish import KafkaJobPublishOperator
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.stored_job import load, save_outcome
from kafka_bridge.airflow.waiting_operator import WaitingOperator
from kafka_bridge.protocol.errors import ConfigurationError, JobCancelled, JobError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.submit.attempts import Begun


class KafkaJobOperator(WaitingOperator, KafkaJobPublishOperator):
    """Hands a job to a service over Kafka, waits without a worker slot, and returns its result.

    The result is the task's XCom. A failed job fails the task with the worker's own type, message
    and details; when the worker said that trying again cannot help, without retries.

    It takes the arguments of :class:`KafkaJobPublishOperator`, which say what to do, those of
    :class:`WaitingOperator`, which say how to wait, and those of :class:`BridgeOperator`.

    :raises ConfigurationError: a value makes no sense, or contradicts another one
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        arguments.require_longer(self.heartbeat_timeout, self.heartbeat_interval)

    def execute(self, context: Context) -> Any:
        """Publish the job request and wait until the job ends.

        :raises InvalidPayload: the payload does not fit its model
        :raises PayloadNotSerialisable: the payload has no JSON form
        :raises KafkaError: a topic is missing, or the brokers did not take the request
        """
        return self._wait_for(context, self.attempts(context, renew_ended=True).begin())

    def execute_complete(
        self, context: Context, event: dict[str, Any], job: dict[str, Any] | None = None
    ) -> Any:
        """Return the result of the job, or raise what became of it.

        A job of an earlier try that turns out to be cancelled gets a successor instead: the task
        was cleared while it ran.

        :raises KafkaJobKilled: it was cancelled because this process was told to end
        :raises JobError: otherwise as :meth:`WaitingOperator.execute_complete`
        """
        self.job = job
        try:
            return super().execute_complete(context, event, job)
        except JobCancelled as error:
            return self._after_cancelled(context, error)
        except JobError as error:
            self._remember(context, error)
            raise

    def what_needs_a_worker(self) -> dict[str, bool]:
        """Return what only a worker can do, by name, and whether it is asked for."""
        return {
            **super().what_needs_a_worker(),
            "reply='plain'": self.reply is Reply.PLAIN,
        }

    def known_job(self, context: Context) -> JobHandle:
        """Return the handle of the job that this task has submitted last."""
        stored = load(context["task_state_store"])
        if stored is None:
            raise ConfigurationError("this task is resumed without a job: clear it")
        return self.handle_of(stored)

    def _after_cancelled(self, context: Context, error: JobCancelled) -> Any:
        if self.killed:
            self._remember(context, error)
            raise KafkaJobKilled(str(error)) from error
        begun = self.attempts(context, renew_ended=True).after_cancelled()
        if begun is None:
            self._remember(context, error)
            raise error
        return self._wait_for(context, begun)

    def _remember(self, context: Context, error: JobError) -> None:
        save_outcome(context["task_state_store"], outcome_of(error))

    def _wait_for(self, context: Context, begun: Begun) -> Any:
        job = self.handle_of(begun.job)
        self.job = job.to_json()
        if begun.end is None:
            return self.wait_for(context, job)
        event = {"state": begun.end.state.value, **asdict(begun.end.location)}
        return self.execute_complete(context, event, self.job)

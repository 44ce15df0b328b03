"""``@task.kafka_job(job_type=…)``: the function returns the payload, the task the job's result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from airflow.sdk.definitions.context import context_merge

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.compat import determine_kwargs
from kafka_bridge.airflow.operators import KafkaJobOperator
from kafka_bridge.airflow.settings import CONFIGURED, Setting

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.arguments import Duration

P = ParamSpec("P")


class _KafkaJobDecoratedOperator(DecoratedOperator, KafkaJobOperator):
    """Calls a function for the payload, and does with it what :class:`KafkaJobOperator` does.

    Each retry calls the function again, also one that reattaches to the earlier try's job.
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *KafkaJobOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **KafkaJobOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.kafka_job"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs
        )
        arguments.require_storable_fields(self)

    def execute(self, context: Context) -> Any:
        """Call the function, publish what it returns, and wait for the job's end."""
        self.make_payload(context)
        return KafkaJobOperator.execute(self, context)

    def make_payload(self, context: Context) -> None:
        """Call the function for the payload."""
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        self.payload = self.python_callable(*self.op_args, **kwargs)
        arguments.require_storable("payload", self.payload)  # it is shown as a rendered field


def _typed_by(
    typed: Callable[P, TaskDecorator],
) -> Callable[[Callable[..., TaskDecorator]], Callable[P, TaskDecorator]]:
    """Show the signature of one function on another one.

    The other function gets only the arguments that its caller gave. If it got the defaults as well,
    they would hide the DAG's ``default_args``.
    """

    def decorate(function: Callable[..., TaskDecorator]) -> Callable[P, TaskDecorator]:
        function.__signature__ = inspect.signature(typed)  # type: ignore[attr-defined]
        return function

    return decorate


def _signature(  # type: ignore[empty-body]
    python_callable: Callable[..., Any] | None = None,
    *,
    job_type: str,
    payload_model: Any = None,
    request_topic: str | Setting = CONFIGURED,
    response_topic: str | Setting = CONFIGURED,
    heartbeat_interval: Duration | Setting = CONFIGURED,
    heartbeat_timeout: Duration | Setting = CONFIGURED,
    schedule_to_start_timeout: Duration | Setting | None = CONFIGURED,
    start_to_close_timeout: Duration | Setting | None = CONFIGURED,
    schedule_to_close_timeout: Duration | Setting | None = CONFIGURED,
    progress_timeout: Duration | None = None,
    reply: str = "events",
    on_retry: str = "reattach",
    result_handler: Callable[[Any], Any] | None = None,
    progress_log_interval: Duration = 5.0,
    deferrable: bool | None = None,
    wait_before_deferring: Duration | Setting = CONFIGURED,
    end_from_trigger: bool = False,
    cancel_on_kill: bool = True,
    kafka_config_id: str | Setting = CONFIGURED,
    control_topic: str | Setting = CONFIGURED,
    encoding: str | Setting = CONFIGURED,
    broker_timeout: Duration = 30.0,
    **kwargs: Any,
) -> TaskDecorator: ...


@_typed_by(_signature)
def kafka_job_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """Turn a function into a task that runs a job in a service. Used as ``@task.kafka_job``.

    The parameters are those of :class:`KafkaJobOperator`, without ``payload``.

    :param python_callable: the decorated function; its return value is the payload
    """
    # Airflow would read it from the function's annotation, which is not the result's.
    kwargs.setdefault("multiple_outputs", False)
    return task_decorator_factory(
        python_callable=python_callable,
        decorated_operator_class=_KafkaJobDecoratedOperator,
        **kwargs,
    )

"""``@task.kafka_job(job_type=…)``: a function returns the payload, its task the job's result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory
from airflow.sdk.definitions.context import context_merge

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.operators import KafkaJobOperator

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context


class _KafkaJobDecoratedOperator(DecoratedOperator, KafkaJobOperator):
    """Calls a function for the payload, and does with it what :class:`KafkaJobOperator` does.

    A retry calls the function again, whether or not it goes on with the earlier try's job.
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
        """Call the function, publish what it returns, and wait until the job ends."""
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        self.payload = self.python_callable(*self.op_args, **kwargs)
        arguments.require_storable("payload", self.payload)  # it is shown as a rendered field
        return KafkaJobOperator.execute(self, context)


def kafka_job_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """Turn a function into a task that does a job elsewhere. Used as ``@task.kafka_job``.

    :param python_callable: the function; what it returns is the payload
    :param kwargs: arguments of :class:`KafkaJobOperator`, ``job_type`` among them
    """
    # Airflow would take it from the function's annotation, which is not the result's.
    kwargs.setdefault("multiple_outputs", False)
    return task_decorator_factory(
        python_callable=python_callable,
        decorated_operator_class=_KafkaJobDecoratedOperator,
        **kwargs,
    )

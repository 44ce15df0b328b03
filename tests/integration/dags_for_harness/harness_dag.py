"""A DAG with one task of each kind that the local Airflow must cope with."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import BaseHook, BaseOperator, dag, task
from harness_trigger import FileTrigger  # type: ignore[import-not-found, unused-ignore]

log = logging.getLogger(__name__)


class WaitForFile(BaseOperator):
    """Defer until a file exists; return what the trigger found out."""

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    template_fields = ("path",)

    def execute(self, context: Any) -> None:  # noqa: ARG002
        """Defer at once."""
        self.defer(trigger=FileTrigger(self.path), method_name="resume")

    def resume(self, context: Any, event: dict[str, Any]) -> Any:  # noqa: ARG002
        """Return the event."""
        return event


@dag(schedule=None)
def harness() -> None:
    """All must succeed."""

    @task
    def answer() -> dict[str, Any]:
        log.info("The answer is on its way")
        connection = BaseHook.get_connection("harness_service")
        return {"answer": 42, "host": connection.host, "nested": {"list": [1, None, "ä"]}}

    answer()
    WaitForFile(task_id="wait", path="{{ dag_run.conf['file'] }}")


@dag(schedule=None)
def harness_mapped() -> None:
    """More mapped tasks than run at once."""

    @task
    def double(number: int) -> int:
        return 2 * number

    double.expand(number=list(range(40)))


@dag(schedule=None)
def harness_failing() -> None:
    """One task that fails with a cause."""

    @task
    def fail() -> None:
        try:
            int("the cause")
        except ValueError as error:
            raise RuntimeError("this is why") from error

    fail()


harness()
harness_mapped()
harness_failing()

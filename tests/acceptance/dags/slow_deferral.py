"""A task that waits for the test before it defers, and again when it is resumed.

The payload is a folder. There the task writes ``supervisor``, the id of the process that will
report its deferral; the test's ``go`` lets it defer, ``reported`` lets it end.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NoReturn

from airflow.sdk import DAG, Context

from kafka_bridge.airflow import KafkaJobOperator


def wait_for_file(file: Path) -> None:
    """Wait until the test has written a file."""
    give_up = time.monotonic() + 120
    while not file.exists() and time.monotonic() < give_up:
        time.sleep(0.05)


class DefersWhenTold(KafkaJobOperator):
    """Is ready to defer, says who will report that, and waits."""

    def defer(self, **arguments: Any) -> NoReturn:
        """Defer, once the test says so."""
        folder = Path(self.payload)
        draft = folder / "draft"
        draft.write_text(str(os.getppid()))
        draft.rename(folder / "supervisor")
        wait_for_file(folder / "go")
        super().defer(**arguments)

    def execute_complete(self, context: Context, *event: Any, **arguments: Any) -> Any:
        """Stay until the end of the process that deferred has been reported."""
        wait_for_file(Path(self.payload) / "reported")
        return super().execute_complete(context, *event, **arguments)


with DAG(dag_id="slow_deferral", schedule=None, params={"folder": ""}):
    DefersWhenTold(
        task_id="work",
        job_type="patient.attempt",
        payload="{{ params.folder }}",
        request_topic="patient.requests",
        wait_before_deferring=0,
    )

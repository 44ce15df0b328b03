"""``kafka-bridge jobs list | show | watch | submit | cancel``."""

from __future__ import annotations

from typing import ClassVar

from kafka_bridge.cli.command_group import App, CommandModule, LazyGroup


class Jobs(LazyGroup):
    """``kafka-bridge jobs``. Each command imports what it needs."""

    modules: ClassVar = {
        "list": CommandModule(
            "kafka_bridge.cli.jobs.list", "List jobs, with their state, worker and progress."
        ),
        "show": CommandModule(
            "kafka_bridge.cli.jobs.show", "Show one job: its events, payload, result and error."
        ),
        "watch": CommandModule(
            "kafka_bridge.cli.jobs.watch", "Watch one job until it has ended, or all jobs."
        ),
        "submit": CommandModule(
            "kafka_bridge.cli.jobs.submit", "Submit a job without Airflow; wait for its result."
        ),
        "cancel": CommandModule(
            "kafka_bridge.cli.jobs.cancel", "Cancel jobs, by their ids or by filters."
        ),
    }


app = App(cls=Jobs)


@app.callback()
def _jobs() -> None:
    """Show, watch, submit and cancel jobs, without Airflow."""

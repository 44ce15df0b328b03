"""``kafka-bridge doctor worker | gateway | airflow``."""

from __future__ import annotations

from typing import ClassVar

from kafka_bridge.cli.command_group import App, CommandModule, LazyGroup


class Doctor(LazyGroup):
    """``kafka-bridge doctor``. Each side imports what it needs."""

    modules: ClassVar = {
        "worker": CommandModule(
            "kafka_bridge.cli.doctor.worker", "Check the side of a worker. Run it there."
        ),
        "gateway": CommandModule(
            "kafka_bridge.cli.doctor.gateway",
            "Check the side of a gateway. Run it there.",
            extra="gateway",
        ),
        "airflow": CommandModule(
            "kafka_bridge.cli.doctor.airflow", "Check the side of Airflow. Run it there."
        ),
    }


app = App(cls=Doctor)


@app.callback()
def _doctor() -> None:
    """Find out why jobs do not work. The commands only look: they change nothing."""

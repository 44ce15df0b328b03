"""``kafka-bridge doctor airflow``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.doctor.options import AsJson, LongestJob, Timeout
from kafka_bridge.cli.doctor.report import report
from kafka_bridge.cli.durations import LongestWait
from kafka_bridge.protocol.errors import ConfigurationError

app = App()


@app.command()
def check(
    longest_job: LongestJob = "7d",  # type: ignore[assignment]
    longest_wait: LongestWait = "7d",  # type: ignore[assignment]
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Check Airflow's installation, settings and triggerer, and its way to Kafka.

    Run it where Airflow runs, with the same environment. It changes nothing. The exit code is 1 if
    a finding is an error.
    """
    if find_spec("airflow") is None:
        raise ConfigurationError(
            f"Airflow is not installed in this Python ({sys.executable}): run the command with the "
            "Python of Airflow"
        )
    # Not at the top: the help of this command needs no Airflow.
    from kafka_bridge.airflow.checkup.sequence import airflow_checks  # noqa: PLC0415

    report(airflow_checks(longest_job, longest_wait), timeout, as_json=as_json)

"""The name of this Airflow in job requests."""

from __future__ import annotations

from kafka_bridge.airflow.compat import conf
from kafka_bridge.airflow.settings import configured


def deployment_source() -> str:
    """Return the option ``source``, or else the address of Airflow's pages."""
    return str(configured("source") or conf.get("api", "base_url", fallback=None) or "airflow")

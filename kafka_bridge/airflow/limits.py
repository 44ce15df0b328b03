"""The limits for what one job may bring into Airflow, from the section ``[kafka_bridge]``.

A service decides how much it writes to a response topic. A triggerer serves all waiting tasks in
one process, and Airflow's database stores the results. The page
``docs/how-to/configure-airflow.md`` has the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from kafka_bridge.airflow.exceptions import ResultTooLarge
from kafka_bridge.airflow.settings import OPTIONS, SECTION, configured
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.sanitize import DETAILS_BYTES, LINE_BYTES

if TYPE_CHECKING:
    from kafka_bridge.protocol.errors import RecordLocation
    from kafka_bridge.protocol.messages import StatusEvent

MIN_TEXT_BYTES = 50
"""The least that :mod:`~kafka_bridge.protocol.sanitize` needs."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The limits of one job; sizes are bytes.

    :param message: a message in a task's log
    :param details: an error's details in a task's log
    :param result: a result that is stored as an XCom; None: any size
    :param events_per_second: how many status events a triggerer decodes; it uses further ones only
        as heartbeats
    :param log_per_second: bytes that a triggerer logs for one job in a second, on average
    """

    message: int
    details: int
    result: int | None
    events_per_second: float
    log_per_second: int


@cache
def job_limits() -> JobLimits:
    """Return the configured limits. Each process reads them once.

    :raises ConfigurationError: an option is invalid
    """
    no_result_limit = configured("max_result_bytes").strip() == ""
    return JobLimits(
        message=_whole("max_message_bytes", MIN_TEXT_BYTES, LINE_BYTES),
        details=_whole("max_details_bytes", MIN_TEXT_BYTES, DETAILS_BYTES),
        result=None if no_result_limit else _whole("max_result_bytes", 1),
        events_per_second=_whole("max_events_per_second", 1),
        log_per_second=_whole("max_log_bytes_per_second", 1),
    )


def fits(ended: StatusEvent) -> bool:
    """Return whether a job's result may be stored as an XCom.

    :raises ConfigurationError: an option is invalid
    """
    most = job_limits().result
    return most is None or ended.result is None or len(ended.result) <= most


def require_fit(ended: StatusEvent, location: RecordLocation) -> None:
    """Check that a job's result may be stored as an XCom.

    :param location: the record of the result
    :raises ResultTooLarge: it is too large
    :raises ConfigurationError: an option is invalid
    """
    if not fits(ended):
        raise ResultTooLarge(
            f"the job succeeded, but its result of {len(ended.result or b''):,} bytes is larger "
            f"than [{SECTION}] max_result_bytes ({job_limits().result:,}), so it is not stored as "
            "an XCom. Let the worker store it elsewhere and return its address, or set a "
            "result_handler that stores it or makes it smaller, or do_xcom_push=False if no task "
            f"needs it. The result is in Kafka, in record {location}."
        )


def _whole(name: str, least: int, most: int | None = None) -> int:
    text = configured(name)
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least or (most is not None and number > most):
        span = f"from {least:,} to {most:,}" if most is not None else f"of at least {least:,}"
        raise ConfigurationError(
            f"[{SECTION}] {name} must be a whole number {span}, not {text!r:.100} "
            f"(default: {OPTIONS[name].default})"
        )
    return number

"""What the expressions in the file see of a job."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from kafka_bridge.gateway.expressions import Expression, JmesPath, Template, TextTemplate
from kafka_bridge.gateway.outbound import MaskedJob

JOB_NAMES = frozenset({"job_id", "job_type", "attempt", "delivery", "payload"})
"""What the expressions of a job see, whoever does it."""


def sees(*names: str) -> Any:
    """Return a validator: expressions look at these names of the scope only."""
    known = frozenset(names)

    def check(value: JmesPath | Template | None) -> JmesPath | Template | None:
        if value is not None and (unknown := value.names() - known):
            raise ValueError(
                f"unknown name {', '.join(sorted(unknown))!s} in {value.text!r}: expressions see "
                f"{', '.join(sorted(known))} here"
            )
        return value

    return AfterValidator(check)


OfJob = Annotated[TextTemplate, sees(*JOB_NAMES)]
ValueOfJob = Annotated[Expression, sees(*JOB_NAMES)]


def scope_of(job: MaskedJob, payload: Any) -> dict[str, Any]:
    """Return what the expressions of a job see."""
    return {
        "job_id": job.correlation_id,
        "job_type": job.job_type,
        "attempt": job.attempt,
        "delivery": job.delivery,
        "payload": payload,
    }

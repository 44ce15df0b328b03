"""The names that expressions in the file can use."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from kafka_bridge.gateway.expressions import Expression, JmesPath, Template, TextTemplate
from kafka_bridge.gateway.outbound import MaskedJob

JOB_NAMES = frozenset({"job_id", "job_type", "attempt", "delivery", "payload"})
"""The names that all expressions of a job can use."""


def uses_only(*names: str) -> Any:
    """Return a validator for expressions that use these names of the scope only."""
    known = frozenset(names)

    def check(value: JmesPath | Template | None) -> JmesPath | Template | None:
        if value is not None and (unknown := value.names() - known):
            raise ValueError(
                f"unknown name {', '.join(sorted(unknown))!s} in {value.text!r}: expressions can "
                f"use {', '.join(sorted(known))} here"
            )
        return value

    return AfterValidator(check)


OfJob = Annotated[TextTemplate, uses_only(*JOB_NAMES)]
ValueOfJob = Annotated[Expression, uses_only(*JOB_NAMES)]


def scope_of(job: MaskedJob, payload: Any) -> dict[str, Any]:
    """Return the values of these names for a job."""
    return {
        "job_id": job.correlation_id,
        "job_type": job.job_type,
        "attempt": job.attempt,
        "delivery": job.delivery,
        "payload": payload,
    }

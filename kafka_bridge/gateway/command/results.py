"""The result of a program that has ended well."""

from __future__ import annotations

from typing import Any

from kafka_bridge.gateway.command.config import CommandJob, ResultForm
from kafka_bridge.gateway.command.output import Output
from kafka_bridge.gateway.words import excerpt
from kafka_bridge.protocol.media_types import from_json
from kafka_bridge.worker import ApplicationError


def result_of(job: CommandJob, output: Output) -> Any:
    """Return the result of a program that has ended with exit code 0.

    :param output: its standard output
    :raises ApplicationError: it is none, as the file wants it: ``result_not_json``, or
        ``result_too_large``
    """
    match job.result:
        case ResultForm.JSON:
            return _json(job, output)
        case ResultForm.TEXT:
            return output.text()
        case ResultForm.NONE:
            return None
        case ResultForm.AUTO:
            return _auto(job, output)


def _auto(job: CommandJob, output: Output) -> Any:
    lines = _candidates(job, output)
    if lines and lines[-1].startswith(("{", "[")) and not _is_too_long(job, output, lines):
        try:
            return from_json(lines[-1].encode())
        except ValueError:
            pass  # it is text that looks like it
    return {"exit_code": 0, "output": output.text()}


def _json(job: CommandJob, output: Output) -> Any:
    lines = _candidates(job, output)
    if not lines:
        raise _unusable("there is none", "result_not_json", job)
    if _is_too_long(job, output, lines):
        why = f"it is longer than {job.max_result_bytes} bytes (max_result_bytes)"
        raise _unusable(why, "result_too_large", job)
    try:
        return from_json(lines[-1].encode())
    except ValueError:
        raise _unusable(f"it is {excerpt(lines[-1])}", "result_not_json", job) from None


def _candidates(job: CommandJob, output: Output) -> list[str]:
    """Return the lines of which the last one is the result: what tells the progress is not."""
    lines = output.lines()
    while lines and job.progress.read(lines[-1]).progress is not None:
        lines.pop()
    return lines


def _is_too_long(job: CommandJob, output: Output, lines: list[str]) -> bool:
    is_cut = output.is_cut and len(lines) == 1
    return is_cut or len(lines[-1].encode()) > job.max_result_bytes


def _unusable(why: str, kind: str, job: CommandJob) -> ApplicationError:
    return ApplicationError(
        f"{job.program} has ended with exit code 0, but the last line of its output should be its "
        f"result as JSON, and {why}",
        type=kind,
        details="",
        retryable=False,
    )

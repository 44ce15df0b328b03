"""Takes the result of a job from the output of a program that succeeded."""

from __future__ import annotations

import re
import time
from typing import Any

from kafka_bridge.gateway.command.config import CommandJob, ResultForm
from kafka_bridge.gateway.command.output import Output
from kafka_bridge.gateway.command.progress import SLOW_LINES_SECONDS
from kafka_bridge.gateway.json_text import read_json
from kafka_bridge.gateway.untrusted_text import excerpt
from kafka_bridge.worker import ApplicationError


def result_of(job: CommandJob, output: Output) -> Any:
    """Return the result of a program with exit code 0.

    :param output: its standard output
    :raises ApplicationError: the output does not contain a result as configured:
        ``result_not_json`` or ``result_too_large``
    """
    match job.result:
        case ResultForm.JSON:
            return _json(job, output)
        case ResultForm.TEXT:
            return _text(job, output)
        case ResultForm.NONE:
            return None
        case ResultForm.AUTO:
            return _auto(job, output)


def _auto(job: CommandJob, output: Output) -> Any:
    lines = _candidates(job, output)
    if lines and _JSON_BEGINS.match(_beginning(output, lines)):
        if _is_too_long(job, output, lines):
            raise _too_long(job)
        try:
            return read_json(lines[-1].encode())
        except ValueError:
            pass  # it is text that looks like JSON
    result = {"exit_code": 0, "output": output.text()}
    return result | {"left_out_bytes": output.left_out} if output.left_out else result


def _text(job: CommandJob, output: Output) -> str:
    if output.left_out:
        raise ApplicationError(
            f"{job.program} succeeded (exit code 0), but its output, which is the result, is "
            f"longer than {job.max_output_bytes} bytes (max_output_bytes). Write it to a file and "
            "return the location of the file",
            type="result_too_large",
            details="",
            retryable=False,
        )
    return output.text()


def _json(job: CommandJob, output: Output) -> Any:
    lines = _candidates(job, output)
    if not lines:
        raise _unusable("there is no output", "result_not_json", job)
    if _is_too_long(job, output, lines):
        raise _too_long(job)
    try:
        return read_json(lines[-1].encode())
    except ValueError:
        raise _unusable(f"it is {excerpt(lines[-1])}", "result_not_json", job) from None


def _candidates(job: CommandJob, output: Output) -> list[str]:
    """Return the lines without the last ones that report progress."""
    lines, until = output.lines(), time.thread_time() + SLOW_LINES_SECONDS
    while lines and time.thread_time() < until and _reports_progress(job, lines[-1]):
        lines.pop()
    return lines


def _reports_progress(job: CommandJob, line: str) -> bool:
    try:
        return job.progress.read(line).progress is not None
    except TimeoutError:  # the pattern is too slow for it: see progress.py
        return False


def _beginning(output: Output, lines: list[str]) -> str:
    return output.cut_begins if output.is_cut and len(lines) == 1 else lines[-1]


def _is_too_long(job: CommandJob, output: Output, lines: list[str]) -> bool:
    is_cut = output.is_cut and len(lines) == 1
    return is_cut or len(lines[-1].encode()) > job.max_result_bytes


def _too_long(job: CommandJob) -> ApplicationError:
    why = f"it is longer than {job.max_result_bytes} bytes (max_result_bytes)"
    return _unusable(why, "result_too_large", job)


def _unusable(why: str, kind: str, job: CommandJob) -> ApplicationError:
    return ApplicationError(
        f"{job.program} succeeded (exit code 0), but the last line of its output must be its "
        f"result as JSON, and {why}",
        type=kind,
        details="",
        retryable=False,
    )


_JSON_BEGINS = re.compile(r"""\{\s*["}]|\[\s*(["{\[\]\d-]|true|false|null)""")
"""The beginning of objects and arrays. Log lines may begin with a bracket, too: ``[INFO]``."""

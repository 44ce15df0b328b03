"""The errors of programs, with the last lines of their output."""

from __future__ import annotations

import errno
import os
import signal

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.invocation import Invocation
from kafka_bridge.gateway.command.output import Output
from kafka_bridge.worker import ApplicationError

MESSAGE_LINES = 5
DETAILS_LINES = 50
TEMPORARY = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ETXTBSY}
)
"""The temporary errors that keep the system from starting a program."""


def ending(status: int) -> str:
    """Return the exit code or signal of a program as text."""
    return f"exit code {status}" if status >= 0 else signal_name(-status)


def signal_name(number: int) -> str:
    """Return the name of a signal; ``SIG`` and its number for real-time signals."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def failed(job: CommandJob, status: int, output: Output, errors: Output) -> ApplicationError:
    """Return the error for an exit code other than 0, or for a signal.

    A signal is retryable, because it is not caused by the work.
    """
    codes = job.retryable_exit_codes
    return ApplicationError(
        f"{job.program} {_how(status)}: {_last_lines(output, errors)}",
        type=f"exit_code_{status}" if status >= 0 else f"signal_{signal_name(-status)}",
        details=_details(output, errors),
        retryable=status < 0 or codes is None or status in codes,
    )


def _how(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed by SIGKILL, by a person or by the system because memory ran out"
    return f"was killed by {ending(status)}" if status < 0 else f"failed with {ending(status)}"


def timed_out(job: CommandJob, output: Output, errors: Output) -> ApplicationError:
    """Return the error for a program that exceeded its timeout."""
    return ApplicationError(
        f"{job.program} took longer than {job.timeout:g} s (timeout) and was stopped: "
        f"{_last_lines(output, errors)}",
        type="program_timeout",
        details=_details(output, errors),
    )


def guard_gone(job: CommandJob, output: Output, errors: Output) -> ApplicationError:
    """Return the error for a program whose guard was killed or could not start."""
    return ApplicationError(
        f"the guard process of {job.program} ended unexpectedly, so {job.program} was killed: "
        f"{_last_lines(output, errors)}",
        type="program_guard_gone",
        details=_details(output, errors),
    )


def not_started(job: CommandJob, number: int, invocation: Invocation) -> ApplicationError:
    """Return the error for a program that the system did not start, by its errno."""
    return ApplicationError(
        f"{job.program} cannot be started: {_why_not(job, number, invocation)}",
        type="program_not_started",
        details="",
        retryable=number in TEMPORARY,
    )


def _why_not(job: CommandJob, number: int, invocation: Invocation) -> str:
    directory = invocation.working_directory
    if directory is not None and not directory.is_dir():
        return f"its working directory {directory} does not exist"
    why = os.strerror(number)
    match number:
        case errno.ENOENT if "/" in job.program:
            return f"{why}. The path or the interpreter in the file's first line does not exist"
        case errno.ENOENT | errno.EACCES if "/" not in job.program:
            path = os.fsdecode(invocation.environment.get(b"PATH", os.fsencode(os.defpath)))
            return f"{why}. It was searched in PATH: {path}"
        case errno.EACCES:
            return f"{why}. It must be a file that this user is allowed to execute"
        case errno.ENOEXEC:
            return f"{why}. A script needs a first line such as #!/bin/sh"
        case errno.E2BIG:
            return f"{why}. Pass large values with stdin"
        case errno.EMFILE:
            return f"{why}. Each program needs three: raise the gateway's limit (ulimit -n)"
    return why


def _last_lines(output: Output, errors: Output) -> str:
    lines = errors.lines() or output.lines()
    return "\n".join(lines[-MESSAGE_LINES:]) or "it printed nothing"


def _details(output: Output, errors: Output) -> str:
    """Return the last lines of both outputs."""
    parts = [("standard error", errors.lines()), ("standard output", output.lines())]
    return "\n\n".join(
        "\n".join([f"Last lines of {name}:", *lines[-DETAILS_LINES:]])
        for name, lines in parts
        if lines
    )

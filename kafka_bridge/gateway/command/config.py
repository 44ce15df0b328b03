"""The keys of a job type that a program runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, DirectoryPath, Discriminator, Field, Tag

from kafka_bridge.gateway.command.interpreters import code_from_job
from kafka_bridge.gateway.command.progress import JSON_LINES, LineReader
from kafka_bridge.gateway.expression_scope import OfJob, ValueOfJob
from kafka_bridge.gateway.expressions import Template
from kafka_bridge.gateway.field_types import AtLeastOne, Seconds, SecondsOrZero, expected
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict_model import Strict


class ResultForm(StrEnum):
    """How the result is taken from the output of a program with exit code 0."""

    AUTO = "auto"
    """The last line of the output if it is a JSON object or array; else ``exit_code`` and the last
    part of the output, ``output``."""
    JSON = "json"
    """The last line of the output, which must be JSON."""
    TEXT = "text"
    """The last part of the output."""
    NONE = "none"
    """No result."""


def _starts_constant_program(command: tuple[Template, ...]) -> tuple[Template, ...]:
    program = command[0]
    if program.names():
        raise ValueError(
            f"the program, {program.text!r}, must be constant: only its arguments can come "
            "from the job"
        )
    if not program.text:
        raise ValueError("expected the name of a program first, not an empty string")
    if (code := code_from_job(command)) is not None:
        raise ValueError(
            f"{code!r} is code for an interpreter, and a job could inject its own code: pass "
            "values as arguments, as in [sh, -c, 'audit \"$1\"', -, '{payload.path}']"
        )
    return command


EnvironmentName = Annotated[
    str, Field(pattern=r"^[^=\x00]+$"), expected("a variable name, without '='")
]
EnvironmentValue = Annotated[
    Annotated[OfJob, Tag("(text)")] | Annotated[Secret, Tag("(secret)")],
    Discriminator(lambda value: "(secret)" if isinstance(value, dict | Secret) else "(text)"),
]
ExitCode = Annotated[int, Field(ge=1, le=255), expected("an exit code, 1 to 255")]


class CommandJob(Strict):
    """A job type that a program runs. Each job starts one process, never through a shell.

    A value from a job can look like an option: write ``--root={payload.root}``, or put ``--``
    before it if the program supports that.

    :ivar command: the program and its arguments. An argument that is a single placeholder with a
        list as its value becomes one argument per item
    :ivar environment: the program's variables, besides inherited ones. Secrets are masked in its
        output
    :ivar inherit_environment: the variables that are inherited from the gateway, besides
        :data:`~kafka_bridge.gateway.command.invocation.INHERITED`
    :ivar working_directory: by default the gateway's own
    :ivar stdin: the program's standard input, as one line of JSON; by default it is empty
    :ivar timeout: the longest run time of the program in seconds
    :ivar kill_after: the seconds between SIGTERM and SIGKILL when a program is stopped. It must be
        shorter than Kafka's session timeout; otherwise the program may still run when another
        gateway starts it again
    :ivar progress: how progress is read from the output: ``json`` for lines such as
        ``{"progress": {"completed": 3, "total": 10, "unit": "files"}, "message": "…"}``, or a
        regular expression with the group ``(?P<completed>…)`` and the optional groups ``total``,
        ``unit`` and ``message``. All other lines are messages
    :ivar max_output_bytes: the size of the last part that is kept of each of the two outputs
    :ivar max_result_bytes: the maximum length of a line with a JSON result
    :ivar retryable_exit_codes: the exit codes after which a retry of the task may help; by default
        all, because few programs distinguish them. Programs that follow ``sysexits.h`` use 75
    :ivar concurrency: the maximum number of these programs that one gateway runs at the same time
    """

    command: Annotated[
        tuple[OfJob, ...], Field(min_length=1), AfterValidator(_starts_constant_program)
    ]
    environment: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    inherit_environment: tuple[EnvironmentName, ...] = ()
    working_directory: DirectoryPath | None = None
    stdin: ValueOfJob | None = None
    timeout: Seconds | None = None
    kill_after: SecondsOrZero = 5.0
    progress: LineReader = JSON_LINES
    result: ResultForm = ResultForm.AUTO
    max_output_bytes: AtLeastOne = 65_536
    max_result_bytes: AtLeastOne = 1_000_000
    retryable_exit_codes: frozenset[ExitCode] | None = None
    concurrency: AtLeastOne = 16

    @property
    def program(self) -> str:
        """The program's name or path, as in the file."""
        return self.command[0].render({})

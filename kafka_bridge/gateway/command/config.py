"""What the file says of jobs that programs do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, DirectoryPath, Discriminator, Field, Tag

from kafka_bridge.gateway.command.interpreters import code_from_job
from kafka_bridge.gateway.command.progress import JSON_LINES, Progress
from kafka_bridge.gateway.expression_scope import OfJob, ValueOfJob
from kafka_bridge.gateway.expressions import Template
from kafka_bridge.gateway.field_types import AtLeastOne, MaybeNoSeconds, Seconds, expected
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict_model import Strict


class ResultForm(StrEnum):
    """What the result is of a program that ends with exit code 0."""

    AUTO = "auto"
    """The last line of its output where that is a JSON object or array, else ``exit_code`` and
    ``output``, which is what is kept of it."""
    JSON = "json"
    """The last line of its output, which must be JSON."""
    TEXT = "text"
    """What is kept of its output."""
    NONE = "none"
    """Nothing."""


def _names_program(command: tuple[Template, ...]) -> tuple[Template, ...]:
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
    """A job type that a program does; one is started for each job, never through a shell.

    What comes from a job can look like an option: write ``--root={payload.root}``, or put ``--``
    before it where the program knows that.

    :ivar command: the program and its arguments. An argument that is one placeholder and nothing
        else, and whose value is a list, becomes as many arguments as that has items
    :ivar environment: the program's variables, besides those it inherits. Secrets are masked in
        whatever it says
    :ivar inherit_environment: what it inherits of the gateway's own variables, besides
        :data:`~kafka_bridge.gateway.command.invocation.INHERITED`; nothing else
    :ivar working_directory: by default the gateway's own
    :ivar stdin: what the program reads from its standard input, as one line of JSON; by default it
        is empty
    :ivar timeout: seconds that the program may take
    :ivar kill_after: seconds between SIGTERM and SIGKILL where a program is to end; less than the
        session time-out of Kafka, or it may still run when another gateway starts it anew
    :ivar progress: how its lines tell how far it is: ``json`` for lines such as
        ``{"progress": {"completed": 3, "total": 10, "unit": "files"}, "message": "…"}``, or a
        regular expression with the group ``(?P<completed>…)``, and ``total``, ``unit`` and
        ``message`` if it likes. All other lines are messages
    :ivar max_output_bytes: how much is kept of each of its two outputs, the end of it
    :ivar max_result_bytes: the longest line that can be a JSON result
    :ivar retryable_exit_codes: after which a retry of the task may help; by default after any, for
        few programs tell them apart. Those that follow ``sysexits.h`` say 75
    :ivar concurrency: how many of these programs one gateway runs at a time
    """

    command: Annotated[tuple[OfJob, ...], Field(min_length=1), AfterValidator(_names_program)]
    environment: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    inherit_environment: tuple[EnvironmentName, ...] = ()
    working_directory: DirectoryPath | None = None
    stdin: ValueOfJob | None = None
    timeout: Seconds | None = None
    kill_after: MaybeNoSeconds = 5.0
    progress: Progress = JSON_LINES
    result: ResultForm = ResultForm.AUTO
    max_output_bytes: AtLeastOne = 65_536
    max_result_bytes: AtLeastOne = 1_000_000
    retryable_exit_codes: frozenset[ExitCode] | None = None
    concurrency: AtLeastOne = 16

    @property
    def program(self) -> str:
        """The program's name or path, as the file has it."""
        return self.command[0].render({})

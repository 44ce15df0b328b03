"""Builds a program's arguments, environment and input from the file and the values of a job."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.expressions import ExpressionFailed, Scope
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.protocol.media_types import to_json
from kafka_bridge.worker import ApplicationError
from kafka_bridge.worker.errors import invalid_payload

INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ"),
    *("LANG", "LC_ALL", "LC_CTYPE"),
)
"""The variables that every program inherits from the gateway; none of them is secret."""


_SECRET_NAME = re.compile(
    "secret|token|passw|passphrase|pwd|credential|private|authorization|api_?key|access_?key",
    re.IGNORECASE,
)
"""The names of inherited variables whose values are masked like secrets."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A program with its arguments, environment and input.

    :ivar stdin: its standard input; None if it is empty
    :ivar secrets: the texts to mask in its output
    """

    arguments: list[bytes]
    environment: dict[bytes, bytes]
    working_directory: Path | None
    stdin: bytes | None
    kill_after: float
    secrets: tuple[str, ...]


def invocation_of(job: CommandJob, scope: Scope) -> Invocation:
    """Return the invocation of a job.

    :raises ApplicationError: ``invalid_payload`` with the placeholder that has no value or a value
        that cannot be passed to a program; or a secret can no longer be read
    """
    secrets = _secrets(job)
    return Invocation(
        _arguments(job, scope),
        _environment(job, scope, secrets),
        job.working_directory,
        _stdin(job, scope),
        job.kill_after,
        (*secrets.values(), *_inherited_secrets(job)),
    )


def _secrets(job: CommandJob) -> dict[str, str]:
    try:
        return {
            name: value.reveal()
            for name, value in job.environment.items()
            if isinstance(value, Secret)
        }
    except ValueError as error:
        raise ApplicationError(
            f"{job.program} cannot be started: {error}", type="credentials_unusable", details=""
        ) from None


def _inherited_secrets(job: CommandJob) -> Iterator[str]:
    for name in job.inherit_environment:
        if _SECRET_NAME.search(name) and (value := os.environ.get(name)):
            yield value


def _arguments(job: CommandJob, scope: Scope) -> list[bytes]:
    arguments = []
    for index, template in enumerate(job.command):
        with _filling(where := f"command[{index}]"):
            texts = template.render_list(scope)
        arguments += [_bytes(where, text) for text in texts]
    return arguments


def _environment(job: CommandJob, scope: Scope, secrets: Mapping[str, str]) -> dict[bytes, bytes]:
    environment = {
        os.fsencode(name): os.fsencode(os.environ[name])
        for name in (*INHERITED, *job.inherit_environment)
        if name in os.environ
    }
    for name, value in job.environment.items():
        where = f"environment.{name}"
        with _filling(where):
            text = secrets[name] if isinstance(value, Secret) else value.render(scope)
        environment[os.fsencode(name)] = _bytes(where, text)
    return environment


def _stdin(job: CommandJob, scope: Scope) -> bytes | None:
    if job.stdin is None:
        return None
    with _filling("stdin"):
        value = job.stdin.search(scope)
    try:
        return to_json(value) + b"\n"
    except ValueError as error:
        raise _invalid(f"stdin cannot be encoded as JSON: {error}") from None


@contextlib.contextmanager
def _filling(where: str) -> Iterator[None]:
    try:
        yield
    except ExpressionFailed as error:
        raise _invalid(f"{where}: {error}") from None


def _bytes(where: str, text: str) -> bytes:
    """Return text as bytes, as it is passed to a program. The system ends it with NUL."""
    if "\0" in text:
        raise _invalid(f"{where} contains a NUL character, which cannot be passed to a program")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _invalid(f"{where} contains half a character (a lone surrogate)") from None


def _invalid(message: str) -> ApplicationError:
    return invalid_payload(f"the program cannot be started with this payload: {message}")

"""Runs a job as a program, until all processes of the program have ended."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.invocation import invocation_of
from kafka_bridge.gateway.command.output import Output
from kafka_bridge.gateway.command.program import GuardGone, NotStarted, Program
from kafka_bridge.gateway.command.program_errors import (
    ending,
    failed,
    guard_gone,
    not_started,
    timed_out,
)
from kafka_bridge.gateway.command.program_result import result_of
from kafka_bridge.gateway.command.progress import (
    SLOW_LINES_SECONDS,
    SLOW_SECONDS,
    JsonLines,
    PatternLines,
    PlainLines,
    latest,
)
from kafka_bridge.gateway.expression_scope import scope_of
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.outbound import GatewayHandler, MaskedJob
from kafka_bridge.worker import JobStopped


class CommandHandler(GatewayHandler):
    """Runs the jobs of one type as programs.

    :param starting: limits how many programs of all types start at the same time
    """

    def __init__(self, config: CommandJob, starting: asyncio.Semaphore) -> None:
        self._config = config
        self._starting = starting

    def mask(self) -> Mask:
        """Return an empty mask; the secrets of a job are added when its program starts."""
        return Mask()

    async def do(self, job: MaskedJob, payload: Any) -> Any:
        """Run the program of a job; return its result.

        :raises ApplicationError: it failed, with the last lines of its output
        :raises JobStopped: the job was stopped, and all processes of the program have ended
        """
        config = self._config
        invocation = invocation_of(config, scope_of(job, payload))
        job.mask.add(*invocation.secrets)
        output, errors = (self._output(job) for _ in range(2))
        try:
            status = await self._run(job, Program(invocation, self._starting), output, errors)
        except NotStarted as error:
            raise not_started(config, error.number, invocation) from None
        except GuardGone:
            raise guard_gone(config, output, errors) from None
        if status != 0:
            raise failed(config, status, output, errors)
        return result_of(config, output)

    def _output(self, job: MaskedJob) -> Output:
        """Return an output whose lines are published as progress and messages."""
        config = self._config
        lines = _Lines(job, config.progress)
        return Output(config.max_output_bytes, config.max_result_bytes, job.mask, lines.publish)

    async def _run(self, job: MaskedJob, program: Program, output: Output, errors: Output) -> int:
        """Return the exit status of the program; stop it after its timeout or with the job."""
        running = asyncio.create_task(program.run(output, errors))
        try:
            done, _ = await asyncio.wait({running}, timeout=self._config.timeout)
        except asyncio.CancelledError:
            await _stop(program, running)
            self._confirm(job, running)
            raise
        if not done:
            await _stop(program, running)
            self._confirm(job, running)
            raise timed_out(self._config, output, errors)
        return running.result()

    def _confirm(self, job: MaskedJob, ended: asyncio.Task[int]) -> None:
        """Raise the reason if the job was told to stop, with the outcome of the program.

        :raises JobStopped: the job was told to stop
        """
        failure = ended.exception()
        try:
            job.raise_if_stopped()
        except JobStopped as stopped:
            how = "was not started" if failure else f"ended with {ending(ended.result())}"
            raise JobStopped(
                stopped.reason,
                f"{stopped}; {self._config.program} {how}, and all its processes have ended",
            ) from None


async def _stop(program: Program, running: asyncio.Task[int]) -> None:
    """Stop the program and wait for its end, even if this task is cancelled again meanwhile."""
    program.stop()
    while not running.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({running})


class _Lines:
    """Publishes the progress and messages in the lines of one output."""

    def __init__(self, job: MaskedJob, reader: JsonLines | PatternLines) -> None:
        self._job = job
        self._reader: JsonLines | PatternLines | PlainLines = reader

    def publish(self, lines: list[str]) -> None:
        """Publish the progress and message of some lines. A pattern that is too slow is dropped."""
        try:
            report = latest(lines, self._reader)
        except TimeoutError:
            self._reader = PlainLines()
            self._job.remark(
                f"The progress pattern took longer than {SLOW_SECONDS:g} s for one line, or "
                f"{SLOW_LINES_SECONDS:g} s for several: progress is no longer read. Simplify the "
                "pattern"
            )
            report = latest(lines, self._reader)
        self._job.report(report.progress, report.message)

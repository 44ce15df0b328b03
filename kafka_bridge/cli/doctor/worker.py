"""``kafka-bridge doctor worker``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.doctor.options import AsJson, LongestJob, Timeout
from kafka_bridge.cli.doctor.report import report
from kafka_bridge.cli.durations import LongestWait
from kafka_bridge.cli.program import AppDir, load_worker
from kafka_bridge.cli.run_options import override
from kafka_bridge.findings import Check, Finding, error, failed, ok, warning
from kafka_bridge.kafka.admin.checkup.sequence import UNKNOWN_GROUP, kafka_checks
from kafka_bridge.kafka.admin.checkup.versions import versions
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import Worker
from kafka_bridge.worker.checkup import (
    WorkerFacts,
    environment,
    handlers_of,
    settings_of,
    worker_needs,
)
from kafka_bridge.worker.settings import GROUP, VARIABLES, parsed

app = App()

NO_GROUP = warning(
    f"the consumer group is not known: {GROUP} is not set, so the program sets it",
    "Name the program, as for `worker run`: `kafka-bridge doctor worker my_service:worker`.",
)
ENVIRONMENT_INSTEAD = warning(
    "the topics and the group of the environment are checked in place of the program's"
)
RUN_OPTIONS = ("concurrency", "processes", "grace", "metrics_port", "metrics_host")
"""The settings whose variables override the program, because `worker run` has options for them."""


@app.command()
def check(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="MODULE:WORKER",
            help="The Worker object, as for `worker run`: what its program sets is checked, too.",
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    app_dir: AppDir = Path(),
    longest_job: LongestJob = "7d",  # type: ignore[assignment]
    longest_wait: LongestWait = "7d",  # type: ignore[assignment]
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Check a worker's variables, its connection, topics and permissions.

    Run it where the worker runs, with the same environment. It changes nothing. The exit code is 1
    if a finding is an error.
    """
    make = None if target is None else partial(load_worker, target, app_dir)
    checks = worker_checks(make, bootstrap_servers, config_file, longest_job, longest_wait)
    report(checks, timeout, as_json=as_json)


def worker_checks(
    make: Callable[[], Worker] | None,
    bootstrap_servers: str | None,
    config_file: Path | None,
    longest_job: timedelta,
    longest_wait: timedelta,
    *,
    in_full: bool = False,
) -> Iterator[Check]:
    """Yield the checks of a worker's side. Run each one before the next one is taken.

    :param make: makes the worker; None if only the environment is known
    :param bootstrap_servers: what overrides the program and the environment; None if nothing does
    :param config_file: a file of properties that does, too
    :param in_full: whether each handler and each setting of the worker is listed, too
    """
    environ = {**os.environ, ENV_BOOTSTRAP: bootstrap_servers or ""}
    yield Check("versions", versions)
    facts = WorkerFacts.from_env(environ)
    if make is not None:
        made, findings = _program(make, bootstrap_servers, config_file)
        facts = made or facts
        yield Check("program", lambda _: findings)
        if in_full and made is not None:
            yield Check("handlers", lambda _: handlers_of(facts))
            yield Check("settings", lambda _: settings_of(facts, environ))
    elif facts.settings.group_id == UNKNOWN_GROUP:
        yield Check("program", lambda _: [NO_GROUP])
    yield Check("variables", lambda _: environment(facts, environ))
    try:
        given = facts.kafka
        config = (
            kafka_config(bootstrap_servers, config_file) if given is None else KafkaConfig(given)
        )
        needs = worker_needs(facts, config, longest_job, longest_wait)
    except ConfigurationError as failure:
        problem = failed(failure)
        yield Check("configuration", lambda _: [problem])
    else:
        yield from kafka_checks(config, needs)


def _program(
    make: Callable[[], Worker], bootstrap_servers: str | None, config_file: Path | None
) -> tuple[WorkerFacts | None, list[Finding]]:
    """Return what a program sets, None if it cannot be loaded, and what was found."""
    try:
        worker = make()
        facts = _facts(worker, bootstrap_servers, config_file)
    except typer.BadParameter:
        raise
    except ConfigurationError as failure:  # a gateway's file may have several faults
        return None, [*map(error, str(failure).splitlines()), ENVIRONMENT_INSTEAD]
    except Exception as failure:
        return None, [failed(failure), ENVIRONMENT_INSTEAD]
    types = ", ".join(sorted(worker.handlers)) or "(none)"
    return facts, [ok(f"group {worker.group_id!r}, job types: {types}")]


def _facts(worker: Worker, bootstrap_servers: str | None, config_file: Path | None) -> WorkerFacts:
    """Return what a worker's program sets, as `worker run` would change it."""
    variables = {name: VARIABLES[name][0] for name in RUN_OPTIONS}
    options = {
        name: parsed(variable, os.environ[variable])
        for name, variable in variables.items()
        if os.environ.get(variable)
    }
    override(worker, bootstrap_servers, config_file, **options)
    return WorkerFacts(
        worker.settings(),
        worker.kafka,
        worker.callback_topic,
        is_program=True,
        handlers=tuple(worker.handlers.values()),
    )

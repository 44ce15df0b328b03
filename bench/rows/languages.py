"""The worker libraries in other languages, each beside the worker in Python.

The topic has all requests before the process starts; the jobs return their payload, a number. The
rate counts from the first event to the last terminal event, so that the start is not measured. Each
worker runs the service that it has for the conformance kit, four jobs at a time, with all the
guarantees of level 3. A language without its toolchain is left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.language_workers import TOOLCHAINS, WORKERS, build
from bench.measure import Result, Round, Scale
from bench.rows.worker import Stage, environment
from bench.traffic import job_ids
from kafka_bridge.conformance import job_types

JOBS = 20_000
CONCURRENCY = 4
EXAMPLES = WORKERS.parent / "examples"
PYTHON = [sys.executable, "-m", "kafka_bridge", "worker", "run", "conformance_service:worker"]


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    jobs, rows, commands = scale.size(JOBS), dict[str, Result](), dict[str, list[str]]()
    for language, tool in TOOLCHAINS.items():
        if shutil.which(tool) is not None:
            say(f"building the worker in {language}")
            commands[language] = build(language, release=True)
            rows[language] = Result(
                f"worker in {language}: {jobs:,} no-op jobs, jobs/s of one process",
                f"the worker in Python, both with {CONCURRENCY} jobs at a time",
                "jobs/s",
                None,
            )
    for number in range(scale.rounds(2)):
        say(f"languages, round {number + 1}")
        python = _rate(servers, PYTHON, EXAMPLES, jobs)
        for language, row in rows.items():
            say(f"languages, {language}, round {number + 1}")
            row.rounds.append(
                Round(_rate(servers, commands[language], WORKERS / language, jobs), python)
            )
    return list(rows.values())


def _rate(servers: str, command: Sequence[str], folder: Path, jobs: int) -> float:
    variables = {"KAFKA_BRIDGE_CONCURRENCY": str(CONCURRENCY), job_types.NOTES: os.devnull}
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        stack.enter_context(environment(**variables))
        stage.publish(job_ids(jobs), job_type=job_types.ECHO)
        with stage.command("language", command, folder):
            times = [each.timestamp()[1] for each in stage.ends(jobs)]
    return jobs / max(0.001, (max(times) - min(times)) / 1000)

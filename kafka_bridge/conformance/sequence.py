"""Runs the probes, one after the other, and yields what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.probe import Probe, Setting
from kafka_bridge.conformance.results import Result, Verdict
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import NotTested, Unmet
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.testing.brokers.base import Broker

SIGN_SECONDS = 5.0
"""How long to wait for a sign of the worker until it gets another request."""


class WorkerSilent(KafkaBridgeError):
    """The worker published nothing at all; the text has the end of its output."""


class Target(Protocol):
    """What is tested."""

    @property
    def is_started(self) -> bool:
        """Whether the kit starts the worker."""

    def stage(
        self, config: KafkaConfig, broker: Broker | None, encoding: Encoding, patience: Patience
    ) -> AbstractContextManager[Stage]:
        """Give a stage with topics for the worker."""


@dataclass(frozen=True, slots=True)
class Run:
    """All that a run needs, apart from the probes.

    :ivar config: how the kit reaches Kafka
    :ivar broker: the broker that the kit has started; None for another one
    """

    target: Target
    config: KafkaConfig
    broker: Broker | None
    patience: Patience

    def results(self, probes: Iterable[Probe], encoding: Encoding) -> Iterator[Result]:
        """Run probes in one encoding, and yield what came of each, as it comes.

        :raises WorkerSilent: the worker published nothing
        :raises KafkaError: the kit cannot use Kafka
        """
        fitting = [each for each in probes if encoding in each.encodings]
        by_setting = {
            setting: [each for each in fitting if each.setting is setting] for setting in Setting
        }
        started = [*by_setting[Setting.PREPARED], *by_setting[Setting.ALONE]]
        if not self.target.is_started:
            for each in started:
                why = "the kit has to start the worker for this: use --command"
                yield Result(each, encoding, Verdict.SKIPPED, why=why)
            by_setting[Setting.PREPARED], by_setting[Setting.ALONE] = [], []
        if by_setting[Setting.PREPARED] or by_setting[Setting.RUNNING]:
            yield from self._with_one_worker(
                by_setting[Setting.PREPARED], by_setting[Setting.RUNNING], encoding
            )
        for each in by_setting[Setting.ALONE]:
            with self._stage(encoding) as stage:
                yield _result(each, stage, each.check)

    def _stage(self, encoding: Encoding) -> AbstractContextManager[Stage]:
        return self.target.stage(self.config, self.broker, encoding, self.patience)

    def _with_one_worker(
        self, prepared: list[Probe], running: list[Probe], encoding: Encoding
    ) -> Iterator[Result]:
        with self._stage(encoding) as stage:
            checks = {each.id: each.check(stage) for each in prepared}
            for check in checks.values():
                assert check is not None  # noqa: S101  it is a generator
                next(check)
            if self.target.is_started:
                stage.start_worker()
            _first_sign(stage)
            for each in prepared:
                yield _result(each, stage, partial(_finish, checks[each.id]))
            for each in running:
                if _has_ended(stage):
                    stage.start_worker()
                yield _result(each, stage, each.check)


def _finish(check: Iterator[None] | None, stage: Stage) -> None:  # noqa: ARG001
    for _nothing in check or ():
        raise RuntimeError("a prepared probe has more than one yield")


def _first_sign(stage: Stage) -> None:
    """Wait until the worker publishes anything, so that no probe has to wait for its start.

    :raises WorkerSilent: it does not
    """
    silent = _record_count(stage)
    deadline = time.monotonic() + stage.patience.start
    while _record_count(stage) == silent and not _has_ended(stage):
        if time.monotonic() > deadline:
            break
        # Again and again: a worker that starts at the latest offset misses the first ones.
        stage.publish(stage.request(ECHO, "first sign"))
        stage.responses.until(
            lambda: _record_count(stage) > silent or _has_ended(stage) or None,
            stage.patience.seconds(SIGN_SECONDS),
        )
    if _record_count(stage) > silent:
        return
    worker = stage.workers[-1] if stage.workers else None
    if worker is not None and worker.exit_code is not None:
        text = f"the worker ended with exit code {worker.exit_code} before it published anything:"
    else:
        text = (
            f"the worker published nothing within {stage.patience.start:g} s. Does it read the "
            "variables that docs/how-to/check-a-worker.md lists? On a slow machine, use --patience."
        )
    output = "" if worker is None else worker.last_lines
    raise WorkerSilent(f"{text}\n{output}".rstrip())


def _record_count(stage: Stage) -> int:
    return len(stage.responses.records) + len(stage.dead_letters.records)


def _has_ended(stage: Stage) -> bool:
    return bool(stage.workers) and stage.workers[-1].exit_code is not None


def _result(probe: Probe, stage: Stage, check: Callable[[Stage], object]) -> Result:
    began = time.monotonic()

    def result(verdict: Verdict, **facts: object) -> Result:
        seconds = time.monotonic() - began
        return Result(probe, stage.encoding, verdict, seconds, **facts)  # type: ignore[arg-type]

    try:
        check(stage)
    except Unmet as unmet:
        output = stage.workers[-1].last_lines if stage.workers else ""
        return result(Verdict.FAILED, unmet=unmet, output=output)
    except NotTested as why:
        return result(Verdict.SKIPPED, why=str(why))
    return result(Verdict.OK)

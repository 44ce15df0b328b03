"""Runs of the conformance kit on the embedded broker."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from kafka_bridge.conformance.kit import OwnBroker, Plan, own_broker
from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.results import Result, Verdict
from kafka_bridge.conformance.target import StartedWorker
from kafka_bridge.protocol.encodings import Encoding

PATIENCE = Patience(float(os.environ.get("CONFORMANCE_PATIENCE", "2")))
"""Tests of time limits run on busy machines, too."""
TESTS = Path(__file__).parents[2]
PYTHON = shlex.quote(sys.executable)
BARE = f"{PYTHON} -m integration.conformance.bare_worker"
SDK = f"{PYTHON} -m kafka_bridge worker run --app-dir {TESTS.parent / 'examples'} "
SDK += "conformance_service:worker"


def run(
    command: str,
    names: Iterable[str] = (),
    encodings: tuple[Encoding, ...] = (Encoding.AVRO,),
    broker: OwnBroker = OwnBroker.EMBEDDED,
) -> list[Result]:
    """Return what came of the probes with these ids; of all if there are none."""
    target = StartedWorker.of(command)
    with own_broker(broker) as (config, own):
        return list(Plan(3, encodings, tuple(names)).results(target, config, own, PATIENCE))


def failed(results: Iterable[Result]) -> dict[str, str]:
    """Return by id and encoding why probes failed."""
    return {
        f"{each.probe.id} {each.encoding}": f"{each.unmet}\n{each.output}"
        for each in results
        if each.verdict is Verdict.FAILED
    }

"""One worker of each language, all in one consumer group.

They are killed, frozen and stopped at random, and do the jobs of a batch task on a real Airflow.
``make fleet`` runs this: it needs the toolchains of all languages. CHAOS_SEED sets another seed.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import skip_or_fail

from bench.language_workers import TOOLCHAINS, WORKERS, build
from integration.jobs import config_of, request
from integration.worker.chaos import (
    BROKER_SETTINGS,
    PUBLISH_SECONDS,
    Chaos,
    Events,
    ends_of,
    events_of,
    publish_and_harm,
    stage_on,
    until_all_ended,
)
from integration.worker.programs import Stage
from kafka_bridge.conformance import job_types
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.testing import ApacheKafka
from kafka_bridge.testing.local_airflow import LocalAirflow

pytestmark = pytest.mark.long

SEED = int(os.environ.get("CHAOS_SEED", "20261125"))
JOBS = int(os.environ.get("CHAOS_FLEET_JOBS", "5000"))
SECONDS = float(os.environ.get("CHAOS_FLEET_SECONDS", "90"))
"""Smaller numbers for a first look."""
LONGEST = 0.2
FLEET_DAG = """
from airflow.sdk import DAG
from kafka_bridge.airflow import KafkaJobBatchOperator

with DAG("fleet"):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="test.echo",
        request_topic={requests!r},
        response_topic={responses!r},
        payloads=[{{"number": number}} for number in range({jobs})],
    )
"""

Command = tuple[list[str], Path]


@pytest.fixture(scope="module")
def commands() -> dict[str, Command]:
    """Build the workers; give by language the command that starts one, and its folder."""
    python = [sys.executable, "-m", "kafka_bridge", "worker", "run", "conformance_service:worker"]
    found = {"python": (python, WORKERS.parent / "examples")}
    for language, tool in TOOLCHAINS.items():
        if shutil.which(tool) is None:
            skip_or_fail(f"no {tool}, which builds the worker in {language}")
        found[language] = (build(language), WORKERS / language)
    return found


@pytest.fixture
def broker(kafka_jars: None) -> Iterator[ApacheKafka]:
    """Give a broker of the test's own. The embedded one does not serve Kafka's Java client."""
    with ApacheKafka(BROKER_SETTINGS) as broker:
        yield broker


@pytest.fixture
def stage(
    broker: ApacheKafka, unique_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Stage]:
    """Give the topics and the group of the fleet."""
    config = config_of(broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = stage_on(broker, producer, unique_name, tmp_path)
        yield stage
        stage.close()


@pytest.fixture
def fleet(broker: ApacheKafka, stage: Stage, commands: dict[str, Command]) -> Chaos:
    """Start one worker of each language."""
    environ = {
        job_types.NOTES: str(stage.notes),
        "KAFKA_BRIDGE_RESPONSE_TOPIC": stage.responses,
        # Many workers die while they have the same job: that is not its fault.
        "KAFKA_BRIDGE_MAX_DELIVERIES": "1000",
    }
    fleet = Chaos(stage, broker, random.Random(SEED), environ=environ)
    for command, folder in commands.values():
        fleet.run(command, folder)
    return fleet


@pytest.mark.timeout(1200)
def test_every_job_ends_once_whichever_worker_dies(
    stage: Stage, fleet: Chaos, commands: dict[str, Command]
) -> None:
    """Each job has one end, nothing that has ended starts again, and every language does jobs."""
    requests = [
        request(job_types.SLEEP, stage.responses, {"seconds": fleet.chance.uniform(0, LONGEST)})
        for _ in range(JOBS)
    ]
    publish_and_harm(fleet, requests, SECONDS)
    until_all_ended(stage, requests)
    fleet.settle()
    ends = ends_of(stage)
    events = events_of(stage)
    second, late_starts = _second_ends(ends), _accepted_after_the_end(events)
    language_of = _languages(stage, commands)
    by_language = Counter(language_of(found[0][1]) for found in ends.values())
    story = "\n".join([*fleet.log, *_lives(events, language_of, {*second, *late_starts})])
    print(  # noqa: T201  this is what the test is run for
        f"seed {SEED}: {JOBS} jobs; {dict(fleet.did)}; {dict(by_language)}; "
        f"{len(second)} second ends; {len(late_starts)} starts after the end"
    )
    assert Counter(found[0][1].state for found in ends.values()) == {JobState.SUCCEEDED: JOBS}
    assert second == [], story
    assert late_starts == [], story
    assert _starts_that_were_not_told(stage, events) == {}, story
    assert by_language.keys() == commands.keys()
    assert min(fleet.did.values()) >= 1
    assert fleet.did["broker restart"] == 1


@pytest.mark.timeout(900)
def test_batch_task_is_done_by_workers_in_all_languages(
    stage: Stage, fleet: Chaos, commands: dict[str, Command], broker: ApacheKafka, tmp_path: Path
) -> None:
    """The results of a batch are in order, whichever worker had the job."""
    jobs = 1_000
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "fleet.py").write_text(
        FLEET_DAG.format(requests=stage.requests, responses=stage.responses, jobs=jobs)
    )
    extra = {"bootstrap.servers": broker.bootstrap_servers}
    connections = {"kafka_default": {"conn_type": "kafka", "extra": extra}}
    with LocalAirflow(tmp_path / "airflow", dags, connections=connections) as airflow:
        run_id = airflow.trigger("fleet")
        assert airflow.wait_for_run("fleet", run_id, 300) == "success"
        results = airflow.xcom("fleet", run_id, "work")
    language_of = _languages(stage, commands)
    by_language = Counter(language_of(found[0][1]) for found in ends_of(stage).values())
    print(f"{jobs} jobs of a batch: {dict(by_language)}")  # noqa: T201
    assert [each["json"] for each in results] == [{"number": number} for number in range(jobs)]
    assert by_language.keys() == commands.keys()


def _second_ends(ends: Events) -> list[str]:
    """Return the jobs with two ends. One that is published again has the same id."""
    return [job for job, found in ends.items() if len({event.event_id for _, event in found}) > 1]


def _accepted_after_the_end(jobs: Events) -> list[str]:
    """Return the jobs that a worker accepted once their end was on record."""
    late = []
    for job, events in jobs.items():
        states = [event.state for _, event in events]
        end = next(at for at, state in enumerate(states) if state in TERMINAL)
        if JobState.ACCEPTED in states[end:]:
            late.append(job)
    return late


def _starts_that_were_not_told(stage: Stage, jobs: Events) -> dict[str, int]:
    """Return by job how many starts of its handler have no ACCEPTED event before them."""
    lines = [line.split() for line in stage.notes.read_text().splitlines()]
    starts = Counter(job for word, job in lines if word == "started")
    accepted = Counter(
        {
            job: len({event.event_id for _, event in events if event.state is JobState.ACCEPTED})
            for job, events in jobs.items()
        }
    )
    return dict(starts - accepted)


def _languages(stage: Stage, commands: dict[str, Command]) -> Callable[[StatusEvent], str]:
    """Return a function that tells in which language the worker of an event is.

    The id of a worker has the id of its process.
    """
    language_of = {command[0]: name for name, (command, _) in commands.items()}
    by_process = {
        str(program.process.pid): language_of[program.command[0]] for program in stage.programs
    }

    def of(event: StatusEvent) -> str:
        parts = re.split("[-@]", event.worker_id)
        return next(by_process[part] for part in parts if part in by_process)

    return of


def _lives(
    lives: Events, language_of: Callable[[StatusEvent], str], jobs: set[str]
) -> Iterator[str]:
    """Give for each of these jobs a line with its events, for whoever looks for the cause."""
    for job, events in lives.items():
        if job in jobs:
            told = (
                f"{record.timestamp_ms / 1000:.3f} {event.state} {event.delivery} "
                f"{language_of(event)} {event.worker_id}"
                for record, event in events
            )
            yield f"{job}: {'; '.join(told)}"

"""What is loaded when, and what is needed for it, each seen in a fresh interpreter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from queue import Queue

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kafka_bridge
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Notice
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.testing import EmbeddedBroker

pytestmark = pytest.mark.slow

PACKAGE = Path(kafka_bridge.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
HEAVY = ("confluent_kafka", "fastavro")
GATEWAY_ONLY = ("fastapi", "httpx", "itsdangerous", "jmespath", "uvicorn", "yaml")


def python(*arguments: str, paths: list[Path] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter; with ``paths``, one that finds modules there and nowhere else."""
    return subprocess.run(
        [sys.executable, *([] if paths is None else ISOLATED), *arguments, *map(str, paths or [])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


ISOLATED = ["-I", "-S"]
"""No site-packages, no environment, no current directory: standard library only."""

ONLY_THERE = "import sys; sys.path += sys.argv[1:]\n"


def closure(requirements: list[str]) -> set[str]:
    """Return the names of the installed distributions that requirements lead to."""
    found: set[str] = set()
    wanted = [(Requirement(text), "") for text in requirements]
    while wanted:
        requirement, extra = wanted.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        is_new = name not in found
        found.add(name)
        for text in metadata.requires(name) or []:
            wanted += [(Requirement(text), each) for each in requirement.extras]
            if is_new:
                wanted.append((Requirement(text), ""))
    return found


def link(name: str, folder: Path) -> None:
    """Put a distribution's top-level files into a folder, as links."""
    distribution = metadata.distribution(name)
    for file in distribution.files or []:
        top = file.parts[0]
        if top != ".." and not (folder / top).exists():
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())


def environment(folder: Path, requirements: list[str]) -> Path:
    """Make a folder that holds what requirements lead to, and kafka_bridge, and nothing else."""
    for name in closure(requirements):
        link(name, folder)
    (folder / "kafka_bridge").symlink_to(PACKAGE)
    return folder


@pytest.fixture(scope="module")
def without_airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what is installed where kafka-bridge is installed without extras."""
    return environment(tmp_path_factory.mktemp("site"), PROJECT["dependencies"])


def test_declared_dependencies_are_the_installed_ones() -> None:
    """The metadata that pip reads name the same dependencies as pyproject.toml."""
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    installed = {
        canonicalize_name(requirement.name)
        for requirement in map(Requirement, metadata.requires(PROJECT["name"]) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert installed == declared


def test_operators_load_no_kafka_client_and_no_avro() -> None:
    """DAG parsing is hot: importing the operators costs neither of the two."""
    result = python(
        *("-X", "importtime", "-c"),
        "import json, sys\n"
        "import kafka_bridge.airflow\n"
        "from kafka_bridge.airflow import KafkaJobOperator, KafkaJobTrigger\n"
        "from kafka_bridge.airflow import KafkaJobSensor, KafkaJobPublishOperator\n"
        "from kafka_bridge.airflow import *\n"
        "import kafka_bridge.airflow.decorators\n"
        "print(json.dumps(sorted(sys.modules)))",
    )
    assert result.returncode == 0, result.stderr
    loaded = json.loads(result.stdout.splitlines()[-1])
    timed = re.findall(r"^import time:.*\| +(\S+)$", result.stderr, flags=re.MULTILINE)
    assert "kafka_bridge.airflow.operators" in loaded
    assert "kafka_bridge.airflow.base" in timed
    for heavy in HEAVY:
        assert not [name for name in (*loaded, *timed) if name.partition(".")[0] == heavy]


def test_protocol_needs_fastavro_and_the_standard_library_only(tmp_path: Path) -> None:
    """All of the protocol can be imported where nothing but fastavro is installed."""
    site = environment(tmp_path, [text for text in PROJECT["dependencies"] if "fastavro" in text])
    assert {each.name for each in site.iterdir()} >= {"fastavro", "kafka_bridge"}
    result = python(
        "-c",
        ONLY_THERE + "import importlib, pkgutil, kafka_bridge.protocol as protocol\n"
        "for module in pkgutil.iter_modules(protocol.__path__):\n"
        "    print(importlib.import_module(f'kafka_bridge.protocol.{module.name}').__name__)\n"
        "outside = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "assert outside <= {'__main__', 'kafka_bridge', 'fastavro', 'cython_runtime'} | "
        "{name for name in outside if name.startswith('_cython')}, outside",
        paths=[site],
    )
    assert result.returncode == 0, result.stderr
    assert "kafka_bridge.protocol.codec" in result.stdout.split()


def test_command_line_loads_what_a_command_needs_and_no_more() -> None:
    """--help and completion are quick: Kafka's client and the gateway's libraries come later."""
    result = python("-c", "import kafka_bridge.cli, sys; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert "typer" in loaded
    assert loaded.isdisjoint({*HEAVY, *GATEWAY_ONLY, "pydantic", "prometheus_client"})


@pytest.mark.parametrize("module", ["airflow", "kafka_bridge.airflow.operators"])
def test_airflow_is_not_there_without_its_extra(without_airflow: Path, module: str) -> None:
    """The environment of these tests is what it says: Airflow cannot be imported in it."""
    result = python("-c", f"{ONLY_THERE}import {module}", paths=[without_airflow])
    assert "ModuleNotFoundError: No module named 'airflow" in result.stderr


def test_worker_sdk_can_be_imported_without_airflow(without_airflow: Path) -> None:
    """A service that never saw Airflow imports the SDK, the command line and the test broker."""
    result = python(
        "-c",
        ONLY_THERE + "import kafka_bridge.worker, kafka_bridge.cli, kafka_bridge.testing.brokers\n"
        "assert 'airflow' not in sys.modules\n"
        "print(kafka_bridge.worker.Worker.__name__)",
        paths=[without_airflow],
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Worker\n"


@pytest.mark.parametrize("module", GATEWAY_ONLY)
def test_worker_needs_nothing_of_the_gateway(without_airflow: Path, module: str) -> None:
    """What only the gateway uses is not there where the tests above import the worker."""
    result = python("-c", f"{ONLY_THERE}import {module}", paths=[without_airflow])
    assert f"ModuleNotFoundError: No module named '{module}'" in result.stderr


DOCTOR = """
sys.argv = ["kafka-bridge", "doctor", "SIDE"]
from kafka_bridge.cli import main
main()
"""


def test_doctor_needs_nothing_but_what_its_side_needs(without_airflow: Path) -> None:
    """It examines a worker without Airflow; for Airflow's side it says where to run."""
    worker = python("-c", ONLY_THERE + DOCTOR.replace("SIDE", "worker"), paths=[without_airflow])
    assert worker.returncode == 1
    assert "error   configuration: no Kafka brokers are configured" in worker.stdout, worker.stderr
    airflow = python("-c", ONLY_THERE + DOCTOR.replace("SIDE", "airflow"), paths=[without_airflow])
    assert airflow.returncode == 1
    (line,) = airflow.stderr.splitlines()
    assert line.startswith("kafka-bridge: Airflow is not installed in this Python (")
    gateway = python("-c", ONLY_THERE + DOCTOR.replace("SIDE", "gateway"), paths=[without_airflow])
    assert gateway.returncode == 1
    assert "pip install 'airflow-kafka-bridge[gateway]'" in gateway.stderr


CHECK_A_FILE = """
sys.argv = ["kafka-bridge", "gateway", "check", "gateway.yaml"]
from kafka_bridge.cli import main
main()
"""


def test_gateway_without_its_extra_names_it(without_airflow: Path) -> None:
    """The command says in one line what to install."""
    result = python("-c", ONLY_THERE + CHECK_A_FILE, paths=[without_airflow])
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("kafka-bridge: the gateway needs the module ")
    assert line.endswith("not installed: pip install 'airflow-kafka-bridge[gateway]'")


@pytest.mark.parametrize("command", ["check", "run"])
def test_gateway_with_half_its_extra_names_it(command: str, tmp_path: Path) -> None:
    """So it does where others have brought some of the libraries, and not all."""
    file = tmp_path / "gateway.yaml"
    file.write_text("jobs: {a: {url: 'http://a'}}")
    blocked = "import sys; sys.modules['aiolimiter'] = None\n"
    program = CHECK_A_FILE.replace("check", command).replace("gateway.yaml", str(file))
    result = python("-c", blocked + program)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("kafka-bridge: the gateway needs the module aiolimiter, ")


def test_gateway_can_be_imported_without_airflow(tmp_path: Path) -> None:
    """All of the gateway can be imported where only the package and its extra are installed."""
    extra = PROJECT["optional-dependencies"]["gateway"]
    site = environment(tmp_path, [*PROJECT["dependencies"], *extra])
    result = python(
        "-c",
        ONLY_THERE + "import importlib, pkgutil, kafka_bridge.gateway as gateway\n"
        "for module in pkgutil.walk_packages(gateway.__path__, 'kafka_bridge.gateway.'):\n"
        "    print(importlib.import_module(module.name).__name__)\n"
        "assert 'airflow' not in sys.modules",
        paths=[site],
    )
    assert result.returncode == 0, result.stderr
    assert "kafka_bridge.gateway.gateway" in result.stdout.split()


SERVICE = """
import importlib.util, sys
servers, *paths = sys.argv[1:]
sys.path += paths
assert importlib.util.find_spec("airflow") is None
from kafka_bridge.worker import Worker
worker = Worker(
    "service",
    kafka={"bootstrap.servers": servers},
    request_topic="q",
    dead_letter_topic="d",
    control_topic="c",
)

@worker.job("double")
def double(job, payload: int) -> int:
    job.progress(1, total=1)
    return 2 * payload

worker.run()
"""


@pytest.fixture
def service(without_airflow: Path) -> Iterator[EmbeddedBroker]:
    """Give an embedded broker with a worker on it that runs in the bare environment."""
    with EmbeddedBroker(["q", "a", "d", "c"]) as broker:
        arguments = ["-c", SERVICE, broker.bootstrap_servers, str(without_airflow)]
        process = subprocess.Popen([sys.executable, *ISOLATED, *arguments])
        try:
            yield broker
            assert process.poll() is None
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def test_worker_does_a_job_without_airflow(service: EmbeddedBroker) -> None:
    """Where only the base dependencies are installed, a job is taken, done and answered."""
    config = KafkaConfig({"bootstrap.servers": service.bootstrap_servers})
    job = new_correlation_id()
    request = JobRequest(
        correlation_id=job,
        job_type="double",
        payload=b"21",
        payload_type="application/json",
        response_topic="a",
        created_at=utc_now(),
    )
    with RecordProducer(config) as producer:
        producer.publish("q", job.encode(), encode(request), [])
    events = until_terminal(config, job)
    assert events[0].state is JobState.ACCEPTED
    assert (events[-1].state, events[-1].result) == (JobState.SUCCEEDED, b"42")


def until_terminal(config: KafkaConfig, job: str) -> list[StatusEvent]:
    """Return a job's events up to its end, within 30 s."""
    heard: Queue[Notice] = Queue()

    def hand_over(delivery: Delivery) -> None:
        for subscription, notice in delivery:
            subscription.notify(notice)

    reader = ResponseReader(config, "a", hand_over)
    events: list[StatusEvent] = []
    try:
        reader.subscribe(job, [], heard.put)
        while not events or events[-1].state not in TERMINAL:
            notice = heard.get(timeout=30)
            assert isinstance(notice, Arrival)
            events.append(notice.event())
    finally:
        reader.close()
    return events

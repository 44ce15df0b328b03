"""Apache Kafka for a JDK on PATH: its jars from Maven, stored in a cache."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_bridge.testing.brokers.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

KAFKA_VERSION = "4.2.1"

OLDEST_JAVA = 17
"""Brokers of Kafka 4 need Java 17 or newer."""

CACHE_VARIABLE = "KAFKA_BRIDGE_CACHE"

DOWNLOAD_TIMEOUT = 600.0
"""Seconds for Maven: 50 MB from the network, once per version of Kafka."""

_POM = Path(__file__).with_name("pom.xml")


def java_command() -> str:
    """Path of a `java` that can run Kafka; raises BrokerUnavailable without one."""
    java = shutil.which("java")
    if java is None:
        raise BrokerUnavailable(f"no JDK {OLDEST_JAVA}+ ('java') on PATH")
    version = _java_version(java)
    if version < OLDEST_JAVA:
        raise BrokerUnavailable(
            f"no JDK {OLDEST_JAVA}+ ('java') on PATH: {java} is version {version}"
        )
    return java


def cache_directory() -> Path:
    """Return the folder of the jars: KAFKA_BRIDGE_CACHE, or ~/.cache/kafka-bridge."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "kafka-bridge"


def kafka_jars() -> Path:
    """Directory with the jars of Kafka 4.2.1 and their dependencies, downloaded if necessary.

    Several processes may ask at once: one downloads, the others wait and find the result.
    Raises BrokerUnavailable where the jars are not cached and Maven is missing or fails.
    """
    cache = cache_directory()
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    maven = _maven_command()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"kafka-{KAFKA_VERSION}.lock"):
        if not jars.is_dir():
            _download(maven, jars)
    return jars


def _download(maven: str, jars: Path) -> None:
    """Fill a temporary directory, then rename it: a directory with the final name is complete."""
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".download-") as scratch:
        unfinished = Path(scratch) / "jars"
        _copy_dependencies(maven, unfinished)
        unfinished.rename(jars)


def _copy_dependencies(maven: str, target: Path) -> None:
    command = [
        *(maven, "-q", "-B", "-f", str(_POM), f"-Dkafka.version={KAFKA_VERSION}"),
        *(f"-DoutputDirectory={target}", "dependency:copy-dependencies"),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"Maven did not get Kafka's jars within {DOWNLOAD_TIMEOUT:.0f} s"
        raise BrokerUnavailable(message) from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise BrokerUnavailable("Maven could not get Kafka's jars:\n" + "\n".join(said))


def _maven_command() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable(
            f"no Maven ('mvn') on PATH, which gets Kafka's jars, and none in {cache_directory()}"
        )
    return maven


def _java_version(java: str) -> int:
    """Major version; 0 if `java` does not print one."""
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found.group(1)) if found else 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system lifts it when the file is closed, or we die
        yield

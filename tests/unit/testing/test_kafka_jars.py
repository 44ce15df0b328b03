"""Kafka's jars: errors without a JDK or Maven, and one shared download."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kafka_bridge.testing import ApacheKafka, BrokerUnavailable
from kafka_bridge.testing.brokers import jars

FAKE_MAVEN = """#!/bin/sh
echo run >> "{calls}"
for argument in "$@"; do
  case "$argument" in -DoutputDirectory=*) target="${{argument#*=}}" ;; esac
done
/bin/mkdir -p "$target"
/bin/sleep 0.3
echo jar > "$target/kafka_2.13-4.2.1.jar"
"""


def program(directory: Path, name: str, text: str) -> None:
    """Write an executable shell script to the test's PATH."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty PATH and an empty cache."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "bin"


def test_without_java_the_error_says_what_to_install(path: Path) -> None:
    """The error says that a JDK is missing, and which version."""
    with pytest.raises(BrokerUnavailable, match=r"no JDK 17\+ \('java'\) on PATH"):
        ApacheKafka().start()


@pytest.mark.parametrize(("printed", "version"), [("1.8.0_402", 8), ("11.0.2", 11)])
def test_old_java_is_refused(path: Path, printed: str, version: int) -> None:
    """Kafka 4 does not run on it; the error has the program and its version."""
    program(path, "java", f"#!/bin/sh\necho 'openjdk version \"{printed}\" 2024-01-16' >&2\n")
    with pytest.raises(BrokerUnavailable, match=rf"{path}/java is version {version}$"):
        jars.java_command()


@pytest.mark.parametrize("printed", ["17.0.15", "21", "25-ea"])
def test_new_java_is_accepted(path: Path, printed: str) -> None:
    """17 and all later versions, early access too."""
    program(path, "java", f"#!/bin/sh\necho 'openjdk version \"{printed}\" 2025-04-15' >&2\n")
    assert jars.java_command() == str(path / "java")


def test_error_without_maven_has_the_searched_directory(path: Path) -> None:
    """Jars or Maven: the error names both."""
    with pytest.raises(BrokerUnavailable, match=r"no Maven \('mvn'\) on PATH.*/cache"):
        jars.kafka_jars()


def test_cached_jars_need_no_maven(path: Path) -> None:
    """After one download a machine works offline and without Maven."""
    cached = jars.cache_directory() / f"kafka-{jars.KAFKA_VERSION}"
    cached.mkdir(parents=True)
    assert jars.kafka_jars() == cached


def test_failed_download_leaves_nothing_and_has_the_error_of_maven(path: Path) -> None:
    """An incomplete directory is not used."""
    program(path, "mvn", "#!/bin/sh\necho 'Could not resolve host'\nexit 1\n")
    with pytest.raises(BrokerUnavailable, match="Could not resolve host"):
        jars.kafka_jars()
    assert [entry.name for entry in jars.cache_directory().iterdir()] == ["kafka-4.2.1.lock"]


@pytest.mark.slow
def test_simultaneous_processes_share_one_download(path: Path, tmp_path: Path) -> None:
    """Of three processes one runs Maven, and all three find complete jars."""
    calls = tmp_path / "calls"
    program(path, "mvn", FAKE_MAVEN.format(calls=calls))
    ask = (
        "from kafka_bridge.testing.brokers.jars import kafka_jars;"
        "print(sorted(jar.name for jar in kafka_jars().iterdir()))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert answers == {"['kafka_2.13-4.2.1.jar']"}
    assert calls.read_text() == "run\n"

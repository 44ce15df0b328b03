"""Kafka's jars: what is said without a JDK or Maven, and one download for everybody."""

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
    """Put an executable shell script on a PATH of its own."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a PATH with nothing on it yet, and an empty cache."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "bin"


def test_without_java_the_error_says_what_to_install(path: Path) -> None:
    """A person without a JDK reads that it is a JDK, and which, that is missing."""
    with pytest.raises(BrokerUnavailable, match=r"no JDK 17\+ \('java'\) on PATH"):
        ApacheKafka().start()


@pytest.mark.parametrize(("said", "version"), [("1.8.0_402", 8), ("11.0.2", 11)])
def test_an_old_java_is_refused(path: Path, said: str, version: int) -> None:
    """Kafka 4 does not run on it; the error names the program and its version."""
    program(path, "java", f"#!/bin/sh\necho 'openjdk version \"{said}\" 2024-01-16' >&2\n")
    with pytest.raises(BrokerUnavailable, match=rf"{path}/java is version {version}$"):
        jars.java_command()


@pytest.mark.parametrize("said", ["17.0.15", "21", "25-ea"])
def test_a_java_that_is_new_enough_is_taken(path: Path, said: str) -> None:
    """17 and everything later will do, early access too."""
    program(path, "java", f"#!/bin/sh\necho 'openjdk version \"{said}\" 2025-04-15' >&2\n")
    assert jars.java_command() == str(path / "java")


def test_without_maven_the_error_says_where_jars_were_looked_for(path: Path) -> None:
    """No jars and no Maven: both are named, so either can be mended."""
    with pytest.raises(BrokerUnavailable, match=r"no Maven \('mvn'\) on PATH.*/cache"):
        jars.kafka_jars()


def test_cached_jars_need_no_maven(path: Path) -> None:
    """A machine that downloaded once works offline and without Maven."""
    cached = jars.cache_directory() / f"kafka-{jars.KAFKA_VERSION}"
    cached.mkdir(parents=True)
    assert jars.kafka_jars() == cached


def test_a_failed_download_leaves_nothing_and_says_why(path: Path) -> None:
    """Maven's own words reach the person, and no half-filled directory is taken for jars."""
    program(path, "mvn", "#!/bin/sh\necho 'Could not resolve host'\nexit 1\n")
    with pytest.raises(BrokerUnavailable, match="Could not resolve host"):
        jars.kafka_jars()
    assert [entry.name for entry in jars.cache_directory().iterdir()] == ["kafka-4.2.1.lock"]


@pytest.mark.slow
def test_processes_that_ask_at_once_share_one_download(path: Path, tmp_path: Path) -> None:
    """Of three processes one runs Maven, and all three find whole jars."""
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

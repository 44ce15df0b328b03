"""Other Avro implementations agree on the golden files: the protocol is Avro, not fastavro."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import avro.io
import avro.schema
import pytest
from conftest import skip_or_fail

from kafka_bridge.protocol.avro_encoding import HEADER_BYTES
from kafka_bridge.protocol.plain_data import to_record
from kafka_bridge.protocol.schemas import WRITTEN

from .golden_messages import CASES, Case
from .make_golden import GOLDEN, SCHEMA_FILES

SCHEMAS = GOLDEN.parents[1]
JAVA_PROJECT = Path(__file__).parent / "avro-java"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_avro_package_agrees(case: Case) -> None:
    """Apache Avro for Python reads a golden body as our record, and writes it as the same bytes.

    The body only: that package keeps ``logicalType`` in the canonical form, so the fingerprints
    that it computes for these schemas are not the specification's.
    """
    message_type = type(case.message)
    text = (SCHEMAS / SCHEMA_FILES[message_type.__name__]).read_text(encoding="utf-8")
    schema = avro.schema.parse(text)
    body = (GOLDEN / f"{case.name}.avro").read_bytes()[HEADER_BYTES:]

    source = io.BytesIO(body)
    record = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(source))
    assert record == to_record(case.message)
    assert source.read() == b""

    target = io.BytesIO()
    avro.io.DatumWriter(schema).write(record, avro.io.BinaryEncoder(target))
    assert target.getvalue() == body


@pytest.fixture(scope="module")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Apache Avro for Java and what it needs, fetched by Maven."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            skip_or_fail(f"{program} is not on the PATH")
    folder = shutil.copytree(JAVA_PROJECT, tmp_path_factory.mktemp("java") / "avro-java")
    command = ["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=class-path"]
    maven = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if maven.returncode != 0:
        skip_or_fail(f"Maven cannot fetch Apache Avro: {maven.stdout[-500:]}")
    return (folder / "class-path").read_text(encoding="utf-8").strip()


@pytest.mark.slow
def test_the_java_implementation_agrees(class_path: str) -> None:
    """Apache Avro for Java finds our fingerprints, and reads and writes every golden file alike."""
    files = [GOLDEN / f"{case.name}.avro" for case in CASES]
    command = ["java", "-cp", class_path, str(JAVA_PROJECT / "GoldenFiles.java"), str(SCHEMAS)]
    command += map(str, files)
    java = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = {
        f"schema {message_type.__name__} {schema.fingerprint[::-1].hex()}"
        for message_type, schema in WRITTEN.items()
    } | {f"file {case.name}.avro {type(case.message).__name__} same" for case in CASES}
    assert set(java.stdout.splitlines()) == expected, java.stderr
    assert java.returncode == 0

"""The pytest plugin is quick to import; tests without a real broker are skipped, and fail in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

NEEDS_KAFKA = "def test_it(private_broker): pass\n"


@pytest.mark.slow
def test_importing_the_plugin_loads_no_kafka_client() -> None:
    """Each run of pytest imports it if kafka-bridge is installed; only its fixture may be slow."""
    heavy = ("confluent_kafka", "fastavro", "airflow", "typer", "pydantic")
    code = (
        "import sys, kafka_bridge.testing.pytest_plugin;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    """All names in `__all__` exist, though they are imported late."""
    import kafka_bridge.testing as package

    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = package.nonsense


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ci", "outcome", "code"), [("", "1 skipped", 0), ("true", "1 error", 1), ("1", "1 error", 1)]
)
def test_without_a_broker_tests_are_skipped_and_fail_in_ci(
    tmp_path: Path, ci: str, outcome: str, code: int
) -> None:
    """The reason is printed: a green CI has used a real Kafka."""
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "test_real.py").write_text(NEEDS_KAFKA)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    real_kafka: a real broker\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no JDK 17+ ('java') on PATH" in done.stdout
    assert outcome in done.stdout
    assert done.returncode == code

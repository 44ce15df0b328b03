"""What importing the operators adds to a DAG file, against a DAG file without a task.

Each figure comes from a new interpreter. It loads some modules, and then one DAG file with
``SourceFileLoader``, as the DAG processor does. Only the file is measured. There are two cases:

- *in a DAG processor*: the modules that it needs anyway are loaded: the SDK with its operators, the
  parsing and the serialization of DAGs. This is the cost of every parse.
- *bare*, only in the long form: only ``from airflow.sdk import DAG`` was executed before, as in a
  script or a test. It has no target: most of it is Airflow's own modules, which any operator loads.

The two files differ in one import and one task. Their order changes from round to round.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.measure import Result, Round, Scale, Target

CHILD_SECONDS = 120.0
TARGET_MS = 30.0

EMPTY = """\
from airflow.sdk import DAG

with DAG("bench_imports", schedule=None):
    pass
"""

OURS = """\
from airflow.sdk import DAG
from kafka_bridge.airflow import KafkaJobOperator

with DAG("bench_imports", schedule=None):
    KafkaJobOperator(task_id="ask", job_type="files.audit", payload={"path": "/data"})
"""

BARE = ("airflow.sdk.definitions.dag",)
DAG_PROCESSOR = (
    *BARE,
    "airflow.sdk.bases.operator",
    "airflow.dag_processing.processor",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.importers.python_importer",
    "airflow.serialization.serialized_objects",
)
"""The modules of the process that parses: its entry point, and what that imports when used."""

CHILD = """\
import importlib
import importlib.machinery
import importlib.util
import sys
import time

path, *loaded_anyway = sys.argv[1:]
for name in loaded_anyway:
    importlib.import_module(name)
from airflow.sdk import DAG

with DAG("bench_warm_up", schedule=None):  # what the first DAG of a process loads
    pass
loader = importlib.machinery.SourceFileLoader("bench_dag_file", path)
spec = importlib.util.spec_from_loader("bench_dag_file", loader)
module = importlib.util.module_from_spec(spec)
begin = time.perf_counter()
loader.exec_module(module)
print("took", time.perf_counter() - begin)
"""


def run(_servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure; needs no broker."""
    rows: dict[tuple[str, ...], Result] = {
        DAG_PROCESSOR: _row("importing the operators in a DAG file", Target("<=", TARGET_MS, "ms"))
    }
    if not scale.short:
        rows[BARE] = _row("the same, if only `airflow.sdk.DAG` was loaded before", None)
    with tempfile.TemporaryDirectory(prefix="kafka-bridge-bench-") as folder:
        files = _Files(Path(folder))
        files.time_ours(DAG_PROCESSOR)  # writes missing bytecode
        for loaded, result in rows.items():
            for number in range(scale.rounds()):
                say(f"{result.name}, round {number + 1}")
                result.rounds.append(files.time_both(loaded, ours_first=number % 2 == 0))
    return list(rows.values())


def _row(name: str, target: Target | None) -> Result:
    return Result(
        name,
        "a DAG file without a task",
        "ms",
        target,
        figure=lambda each: each.ours - each.peer,
        figure_unit="ms more",
    )


class _Files:
    """The two DAG files, in a folder that is also their Airflow home."""

    def __init__(self, folder: Path) -> None:
        self._environment = _environment(folder)
        self._ours, self._empty = folder / "ours.py", folder / "empty.py"
        self._ours.write_text(OURS, encoding="utf-8")
        self._empty.write_text(EMPTY, encoding="utf-8")

    def time_both(self, loaded: Sequence[str], *, ours_first: bool) -> Round:
        """Load each file once."""
        if ours_first:
            ours = self.time_ours(loaded)
            return Round(ours, self._time(self._empty, loaded))
        empty = self._time(self._empty, loaded)
        return Round(self.time_ours(loaded), empty)

    def time_ours(self, loaded: Sequence[str]) -> float:
        """Load the file with our operator; return milliseconds."""
        return self._time(self._ours, loaded)

    def _time(self, file: Path, loaded: Sequence[str]) -> float:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(file), *loaded],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the DAG file could not be loaded:\n{done.stderr}")
        return float(done.stdout.rpartition("took ")[2]) * 1000


def _environment(home: Path) -> dict[str, str]:
    """Return this process's environment with this Airflow home."""
    not_inherited = {name for name in os.environ if "AIRFLOW" in name} | {"PYTHONDONTWRITEBYTECODE"}
    inherited = {name: value for name, value in os.environ.items() if name not in not_inherited}
    return {**inherited, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

"""``kafka-bridge worker run``: what is wrong with its arguments, said in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kafka_bridge.cli import main
from kafka_bridge.cli.run_options import override
from kafka_bridge.worker import Worker

from .output import plain

PROGRAM = "from kafka_bridge.cli import main; main()"
"""What the console script does."""

FILES = {
    "no_worker.py": "worker = 'not one'\n",
    "unready.py": "import nowhere_to_be_found\n",
    "unready_too.py": "from json import nothing_like_it\n",
    "requests_of_mine.py": "import requests_of\n",  # its own name begins like the missing one's
    "empty.py": "from kafka_bridge.worker import Worker\nworker = Worker('g')\n",
    "nameless.py": "from kafka_bridge.worker import Worker\nworker = Worker('')\n",
    "a_package/__init__.py": "",
}

BAD = [
    ("services", 2, "'services' is not of the form module:attribute"),
    (":worker", 2, "':worker' is not of the form module:attribute"),
    ("services:", 2, "'services:' is not of the form module:attribute"),
    ("nothing_there:worker", 1, "module 'nothing_there' was not found in"),
    ("nothing.there:worker", 1, "or set --app-dir"),
    ("a_package.nothing:worker", 1, "module 'a_package.nothing' was not found in"),
    ("no_worker:missing", 1, "module 'no_worker' has no attribute 'missing'"),
    ("no_worker:worker", 1, "no_worker:worker is a str, not a kafka_bridge.worker.Worker"),
    ("unready:worker", 1, "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    ("unready:worker", 1, "unready.py, line 1)"),
    ("unready_too:worker", 1, "ImportError: cannot import name 'nothing_like_it' from 'json'"),
    ("requests_of_mine:worker", 1, "'requests_of_mine' cannot be imported"),
    ("requests_of_mine:worker", 1, "ModuleNotFoundError: No module named 'requests_of'"),
    ("empty:worker", 1, "the worker has no handler: decorate a function with @worker.job"),
    ("nameless:worker", 1, "a worker needs a group_id"),
]


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Give a function that runs the command where FILES are; returns exit code and stderr."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["kafka-bridge", "worker", "run", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        said = capsys.readouterr()
        assert said.out == ""
        return code, plain(said.err)

    yield run
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py").partition("/")[0], None)


@pytest.mark.parametrize(("target", "code", "words"), BAD)
def test_each_invalid_target_has_its_own_error_and_no_traceback(
    run: Run, target: str, code: int, words: str
) -> None:
    """Each mistake has its own words and an exit code, and no traceback hides them."""
    ended, said = run(target)
    assert words in said
    assert ended == code
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--log-level", "loud"), "'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        (("--log-format", "xml"), "'xml' is not one of 'text', 'json'"),
        (("--metrics-port", "65536"), "expected a port from 0 to 65535"),
        (
            ("--grace", "-1"),
            "at least 0, or a duration such as 2m, not '-1'",
        ),
        (
            ("--grace", "inf"),
            "at least 0, or a duration such as 2m, not 'inf'",
        ),
        (
            ("--grace", "nan"),
            "at least 0, or a duration such as 2m, not 'nan'",
        ),
        (("--concurrency", "0"), "--concurrency"),
        (("--app-dir", "no_worker.py"), "is a file"),
    ],
)
def test_invalid_option_is_a_usage_error_before_anything_is_imported(
    run: Run, options: tuple[str, ...], words: str
) -> None:
    """An option's mistake is a usage error, exit code 2, before anything is imported."""
    code, said = run("unready:worker", *options)
    assert words in said
    assert code == 2


def test_module_is_found_in_app_dir(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--app-dir is where the module is looked for, whatever the current directory."""
    monkeypatch.chdir("/")
    assert "module 'empty' was not found in /" in run("empty:worker")[1]
    assert "the worker has no handler" in run("empty:worker", "--app-dir", str(tmp_path))[1]


@pytest.mark.slow
def test_program_prints_an_error_in_one_line(tmp_path: Path) -> None:
    """The program itself prints the one line, no traceback, and exits with 1."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, "worker", "run", "nothing_there:worker"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("kafka-bridge: module 'nothing_there' was not found in ")


def test_option_for_the_brokers_overrides_the_program_and_keeps_its_other_properties(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a worker without properties of its own, the environment's are kept, too."""
    monkeypatch.setenv("KAFKA_BRIDGE_BOOTSTRAP_SERVERS", "environment:1")
    monkeypatch.setenv("KAFKA_BRIDGE_KAFKA_SASL_USERNAME", "environments")
    own = Worker("g", kafka={"bootstrap.servers": "program:1", "sasl.username": "programs"})
    for worker, user in ((own, "programs"), (Worker("g"), "environments")):
        override(worker, "option:1", None)
        assert worker.kafka_config().settings == {
            "bootstrap.servers": "option:1",
            "sasl.username": user,
        }

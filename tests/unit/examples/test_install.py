"""``make setup`` says how far it is, and why it failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.install import Progress, install

OUTPUT = [
    "Collecting airflow==3.3.2 (from -r requirements/dev.txt (line 1))\n",
    "  Downloading airflow-3.3.2-py3-none-any.whl (20 kB)\n",
    "Requirement already satisfied: rich in ./lib (15.0.0)\n",
    "Collecting typer==0.29.2 (from -r requirements/dev.txt (line 9))\n",
]


def test_line_says_how_many_packages_are_downloaded_and_then_installed(tmp_path: Path) -> None:
    """While packages are installed pip prints nothing; their folders say how far it is."""
    (tmp_path / "pip-26.0.dist-info").mkdir()
    progress = Progress(tmp_path)
    progress.read(OUTPUT)
    assert progress.line() == "downloading: 3 packages so far"
    progress.read(["Installing collected packages: airflow, typer, click\n"])
    assert progress.line() == "installing: 0 of 3 packages"
    for name in ("airflow-3.3.2", "typer-0.29.2"):
        (tmp_path / f"{name}.dist-info").mkdir()
    assert progress.line() == "installing: 2 of 3 packages"


@pytest.mark.slow
def test_pip_is_run_and_lines_are_printed_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line comes before the end, and the last one says that it has ended."""
    assert install(["--no-index", "pip"], tmp_path, seconds=0.1) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert "s, downloading: " in first
    assert last.endswith("s, everything is installed")


@pytest.mark.slow
def test_failure_ends_with_the_words_of_pip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that does not exist is named, and the exit code is pip's."""
    assert install(["--no-index", "no-such-package-at-all"], tmp_path) == 1
    assert "No matching distribution found for no-such-package-at-all" in capsys.readouterr().out

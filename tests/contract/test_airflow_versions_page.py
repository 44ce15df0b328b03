"""The README's table of Airflow versions says what is declared and pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+\.\d+) \| ([\d.b]+)", re.MULTILINE)
PINNED = re.compile(r"^apache-airflow==(\S+)", re.MULTILINE)
OWN = {"3.3": "dev"}
"""The versions without a file of their own, and the file that pins them."""


def versions() -> dict[str, str]:
    """Return the tested version of each minor version, from the README."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    return dict(ROW.findall(readme.split("### Airflow versions")[1]))


def test_tested_versions_are_the_pinned_ones() -> None:
    """Each minor version is tested with the version that its requirements pin."""
    assert len(versions()) >= 4
    for minor, patch in versions().items():
        name = OWN.get(minor, f"airflow-{minor}")
        text = (PROJECT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        assert PINNED.findall(text) == [patch], f"correct README.md, or {name}.txt"


def test_versions_that_pip_accepts_are_the_tested_ones() -> None:
    """Each tested version is accepted, and none before the first or after the last."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        extra = tomllib.load(file)["project"]["optional-dependencies"]["airflow"]
    (airflow,) = [r for r in map(Requirement, extra) if r.name == "apache-airflow"]
    minors = [Version(minor) for minor in versions()]
    for version in minors:
        assert airflow.specifier.contains(str(version))
    first, last = min(minors), max(minors)
    assert not airflow.specifier.contains(f"{first.major}.{first.minor - 1}.99")
    assert not airflow.specifier.contains(f"{last.major}.{last.minor + 1}")

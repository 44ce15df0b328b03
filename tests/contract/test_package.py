"""The wheel and the source distribution contain what a user of the package needs."""

from __future__ import annotations

import re
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from kafka_bridge import __version__

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "kafka_bridge" / "board" / "static"
NEEDED = [
    "kafka_bridge/py.typed",
    "kafka_bridge/schemas/golden/v1/cases.json",
    "kafka_bridge/testing/brokers/pom.xml",
    *(f"kafka_bridge/board/static/{each.name}" for each in BOARD.iterdir()),
    *(f"kafka_bridge/schemas/{each.name}" for each in (ROOT / "schemas").glob("*.avsc")),
    "kafka_bridge/schemas/asyncapi.yaml",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Give the wheel."""
    (built,) = WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]
    )
    return zipfile.ZipFile(built)


def test_the_wheel_has_the_licence_the_schemas_and_the_mark_of_types(
    wheel: zipfile.ZipFile,
) -> None:
    """An installed package validates messages, and type checkers read it."""
    names = set(wheel.namelist())
    assert len(NEEDED) > 4
    assert [each for each in NEEDED if each not in names] == []
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "kafka_bridge",
        "airflow_kafka_bridge",
    }


def test_the_readme_and_the_changelog_name_this_version(wheel: zipfile.ZipFile) -> None:
    """The README's commands install the wheel that they have built."""
    assert wheel.filename is not None
    assert Path(wheel.filename).name in (ROOT / "README.md").read_text("utf-8")
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[0] == __version__


def test_the_source_distribution_has_them_too_and_can_be_built(tmp_path: Path) -> None:
    """A wheel can be built from it."""
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = [*NEEDED, "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "hatch_build.py"]
    assert [each for each in needed if each not in names] == []


def test_the_description_reads_well_outside_the_repository(wheel: zipfile.ZipFile) -> None:
    """A package index shows no broken picture and no link that leads nowhere."""
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    metadata = message_from_string(wheel.read(name).decode("utf-8"))
    description = str(metadata.get_payload())
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert description.startswith("# kafka-bridge\n")
    assert re.findall(r"\]\((?!\w+://)", description) == []
    assert "[" in description, "links to other hosts and code are kept"

"""The page on the architecture names files and classes that exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"kafka_bridge/[\w/]*(?:\.py)?", PAGE)))
PICTURE = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
DRAWN = sorted(set(re.findall(r"\b((?:airflow|kafka|worker|gateway)/[\w/]*(?:\.py)?)", PICTURE)))
NAMES = sorted(set(re.findall(r"`(kafka_bridge[\w.]*:\w+)`", PAGE)))


@pytest.mark.parametrize("path", PATHS)
def test_every_path_on_the_page_exists(path: str) -> None:
    """A module or a package that is moved is moved on the page, too."""
    assert (ROOT / path).exists(), f"{path} does not exist: correct docs/architecture.md"


@pytest.mark.parametrize("path", DRAWN)
def test_every_path_in_the_picture_exists(path: str) -> None:
    """The picture names packages and modules without the first part of their path."""
    assert (ROOT / "kafka_bridge" / path).exists(), f"{path}: correct architecture.svg"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_on_the_page_exists(name: str) -> None:
    """A class or function that is named as ``module:Name`` can be imported."""
    module, _, attribute = name.partition(":")
    assert hasattr(import_module(module), attribute), f"{name}: correct docs/architecture.md"


def test_the_page_names_the_way_of_a_job() -> None:
    """The test sees the paths: thirteen steps name more than twenty files."""
    assert len([path for path in PATHS if path.endswith(".py")]) > 20

"""Docstrings become Markdown, and each public name has a place on the site."""

from __future__ import annotations

from importlib import import_module

import pytest

from website.packages import PACKAGES, Package, package_page, public_names
from website.rest import markdown


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Waits for :class:`KafkaJobOperator`.", "Waits for `KafkaJobOperator`."),
        ("See :data:`~kafka_bridge.worker.settings.VARIABLES`.", "See `VARIABLES`."),
        ("The topic ``jobs.requests``.", "The topic `jobs.requests`."),
        ("For example::\n\n    run()", "For example:\n\n    run()"),
        ("One.\n\n::\n\n    run()", "One.\n\n\n\n    run()"),
        ("    indented::\n\n        run()", "    indented:\n\n        run()"),
    ],
)
def test_restructured_text_becomes_markdown(docstring: str, expected: str) -> None:
    """The site shows no signs of the other language."""
    assert markdown(docstring) == expected


@pytest.mark.parametrize("package", PACKAGES, ids=lambda each: each.name)
def test_the_page_of_a_package_has_each_public_name(package: Package) -> None:
    """The names are read without an import, and they exist."""
    names = public_names(package.name)
    assert names
    module = import_module(package.name)
    assert all(hasattr(module, name) for name in names)
    assert set(getattr(module, "__all__", names)) == set(names)
    assert all(f"::: {package.name}.{name}\n" in package_page(package) for name in names)

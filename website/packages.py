"""The pages of the Python packages: each public name, from its signature and docstring.

mkdocstrings fills them. It reads the source and imports nothing, so that a build of the site needs
neither Airflow nor a Kafka client.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Package:
    """A package with public names.

    :ivar name: its import name
    :ivar title: the title of its page
    :ivar text: what the page begins with
    """

    name: str
    title: str
    text: str

    @property
    def src_uri(self) -> str:
        """Where MkDocs finds its page."""
        return f"reference/python/{self.name.rpartition('.')[2]}.md"


PACKAGES = (
    Package(
        "kafka_bridge.airflow",
        "kafka_bridge.airflow",
        "The operators, the sensor, the triggers and the errors of a task. A default `CONFIGURED` "
        "comes from the section [`[kafka_bridge]`](../settings.md). Parameters that are not listed "
        "are described at the base class. The page [Operators](../operators.md) has all of them in "
        "one table for each class, with examples.",
    ),
    Package(
        "kafka_bridge.worker",
        "kafka_bridge.worker",
        "The SDK of a worker. The page [Worker](../worker.md) has tables and examples.",
    ),
    Package(
        "kafka_bridge.testing",
        "kafka_bridge.testing",
        "Jobs without Kafka, fakes, and brokers for tests. The page [Testing](../testing.md) has "
        "examples.",
    ),
    Package(
        "kafka_bridge.protocol.messages",
        "kafka_bridge.protocol.messages",
        "The messages of the protocol as Python classes. The page [Protocol](../../protocol.md) "
        "explains them.",
    ),
    Package(
        "kafka_bridge.protocol.errors",
        "kafka_bridge.protocol.errors",
        "Every error that the bridge raises on purpose. The page [Errors](../errors.md) says what "
        "helps.",
    ),
)


def package_page(package: Package) -> str:
    """Return the page of a package, for mkdocstrings."""
    parts = [f"# `{package.title}`\n\n{package.text}\n"]
    parts += [f"::: {package.name}.{name}\n" for name in public_names(package.name)]
    return "\n".join(parts)


def public_names(package: str) -> list[str]:
    """Return the names of ``__all__`` in order; without it, the public classes of the module."""
    path = ROOT / package.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    classes = (node.name for node in tree.body if isinstance(node, ast.ClassDef))
    return [name for name in classes if not name.startswith("_")]

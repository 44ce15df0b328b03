"""The worker libraries in other languages: the services that they have for the conformance kit."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

WORKERS = Path(__file__).parents[1] / "workers"
TOOLCHAINS = {"go": "go", "java": "mvn", "rust": "cargo", "typescript": "npm"}
"""By language, the program that builds its worker."""


def build(language: str, *, release: bool = False) -> list[str]:
    """Build a service; return the command that starts it.

    :param release: with optimisation, as its users would deploy it
    :raises RuntimeError: it cannot be built
    """
    options = ["RELEASE=1"] if release else []
    _make(language, "build", options)
    return shlex.split(_make(language, "command", options))


def _make(language: str, target: str, options: list[str]) -> str:
    """Make a target; return what was printed."""
    command = ["make", "-s", "-C", str(WORKERS / language), target, *options]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"the worker in {language}: {made.stdout}{made.stderr}")
    return made.stdout

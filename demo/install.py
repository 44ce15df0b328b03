"""Installs the requirements with pip, and prints every few seconds how far it is.

pip alone either prints several lines for each of some hundred packages, or nothing for minutes. Run
by the Python of the virtual environment, before anything is installed there: it imports only the
standard library.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

SECONDS_BETWEEN_LINES = 10.0
LINES_OF_AN_ERROR = 30


class Progress:
    """What pip has done so far, from its output and from the folder that it installs into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = self._installed()
        self._collected = 0
        self._to_install = 0
        self.last_lines: deque[str] = deque(maxlen=LINES_OF_AN_ERROR)

    def read(self, lines: Iterable[str]) -> None:
        """Read pip's output to its end."""
        for line in lines:
            self.last_lines.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied")):
                self._collected += 1
            elif line.startswith("Installing collected packages: "):
                self._to_install = line.count(",") + 1

    def line(self) -> str:
        """Return the present state in one line."""
        if self._to_install:
            done = max(0, min(self._to_install, self._installed() - self._before))
            return f"installing: {done} of {self._to_install} packages"
        return f"downloading: {self._collected} packages so far"

    def _installed(self) -> int:
        return sum(1 for _ in self._folder.glob("*.dist-info"))


def install(arguments: list[str], folder: Path, seconds: float = SECONDS_BETWEEN_LINES) -> int:
    """Run ``pip install`` and return its exit code; print its last lines if it fails.

    :param folder: where it installs packages
    :param seconds: the time between two lines
    """
    options = ["--progress-bar", "off", "--disable-pip-version-check", "--no-input"]
    progress, started = Progress(folder), time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "pip", "install", *options, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        reader = threading.Thread(target=progress.read, args=[pip.stdout], daemon=True)
        reader.start()
        while True:
            try:
                status = pip.wait(seconds)
            except subprocess.TimeoutExpired:
                print(f"  {time.monotonic() - started:3.0f} s, {progress.line()}", flush=True)
            else:
                break
        reader.join()
    if status:
        print("".join(progress.last_lines), end="", flush=True)
    else:
        print(f"  {time.monotonic() - started:3.0f} s, everything is installed", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:], Path(sysconfig.get_path("purelib"))))

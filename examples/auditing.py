"""The work of all examples. They differ only in how they receive it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, Field


class AuditRequest(BaseModel):
    """What to audit. ``files_per_second`` limits the load of a shared disk; None: no limit."""

    directory: Path
    pattern: str = "*"
    files_per_second: float | None = Field(default=None, gt=0)


class AuditReport(BaseModel):
    """The result. ``sha256`` is computed over the files' digests in the order of their paths."""

    directory: Path
    files: int = 0
    bytes: int = 0
    lines_by_suffix: dict[str, int] = Field(default_factory=dict)
    sha256: str = ""


def audit_directory(request: AuditRequest, on_file: Callable[[int, int, str], None]) -> AuditReport:
    """Hash every file below a directory and count lines by suffix.

    :param on_file: called for each file with its number, the number of files, and its name; an
        exception that it raises ends the audit
    """
    paths = sorted(path for path in request.directory.rglob(request.pattern) if path.is_file())
    report = AuditReport(directory=request.directory)
    total = hashlib.sha256()
    lines: Counter[str] = Counter()
    began = time.monotonic()
    for number, path in enumerate(paths, start=1):
        if request.files_per_second:
            time.sleep(max(0, began + number / request.files_per_second - time.monotonic()))
        content = path.read_bytes()
        total.update(hashlib.sha256(content).digest())
        lines[path.suffix or "(none)"] += content.count(b"\n")
        report.files += 1
        report.bytes += len(content)
        on_file(number, len(paths), path.name)
    report.lines_by_suffix = dict(lines.most_common())
    report.sha256 = total.hexdigest()
    return report

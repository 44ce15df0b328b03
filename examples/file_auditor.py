"""A worker that audits directory trees: a service of its own, which knows nothing of Airflow.

Run it with ``kafka-bridge worker run file_auditor:worker --app-dir examples``.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from pathlib import Path

from pydantic import BaseModel, Field

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker(group_id="file-auditors")


class AuditRequest(BaseModel):
    """What to audit. ``files_per_second`` spares a disk that others use too; None: no limit."""

    directory: Path
    pattern: str = "*"
    files_per_second: float | None = Field(default=None, gt=0)


class AuditReport(BaseModel):
    """What was found. ``sha256`` is over the files' digests in the order of their paths."""

    directory: Path
    files: int = 0
    bytes: int = 0
    lines_by_suffix: dict[str, int] = Field(default_factory=dict)
    sha256: str = ""


@worker.job("files.audit")
def audit(job: JobContext, payload: AuditRequest) -> AuditReport:
    """Hash every file below a directory and count lines by suffix."""
    if not payload.directory.is_dir():
        raise ApplicationError(
            f"{payload.directory} is no directory on this machine",
            type="directory_not_found",
            retryable=False,
        )
    paths = sorted(path for path in payload.directory.rglob(payload.pattern) if path.is_file())
    report = AuditReport(directory=payload.directory)
    total = hashlib.sha256()
    lines: Counter[str] = Counter()
    begun = time.monotonic()
    for number, path in enumerate(paths, start=1):
        job.check_cancelled()
        if payload.files_per_second:
            time.sleep(max(0, begun + number / payload.files_per_second - time.monotonic()))
        content = path.read_bytes()
        total.update(hashlib.sha256(content).digest())
        lines[path.suffix or "(none)"] += content.count(b"\n")
        report.files += 1
        report.bytes += len(content)
        job.progress(number, total=len(paths), unit="files", message=f"hashing {path.name}")
    report.lines_by_suffix = dict(lines.most_common())
    report.sha256 = total.hexdigest()
    return report


@worker.job("files.fail")
def fail(_: JobContext, payload: dict[str, str]) -> None:
    """Fail as real services do: with an exception from somewhere deep inside."""
    Path(payload["path"]).read_text()

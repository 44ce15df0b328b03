"""A worker that audits directory trees: a service of its own, without Airflow.

Run it with ``kafka-bridge worker run file_auditor:worker --app-dir examples``.
"""

from __future__ import annotations

from pathlib import Path

from auditing import AuditReport, AuditRequest, audit_directory

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker(group_id="file-auditors")


@worker.job("files.audit")
def audit(job: JobContext, payload: AuditRequest) -> AuditReport:
    """Hash every file below a directory and count lines by suffix."""
    if not payload.directory.is_dir():
        raise ApplicationError(
            f"{payload.directory} is not a directory on this machine",
            type="directory_not_found",
            retryable=False,
        )

    def on_file(number: int, total: int, name: str) -> None:
        job.raise_if_stopped()
        job.progress(number, total=total, unit="files", message=f"hashing {name}")

    return audit_directory(payload, on_file)


@worker.job("files.fail")
def fail(_: JobContext, payload: dict[str, str]) -> None:
    """Fail as real services do: with an exception from deep inside."""
    Path(payload["path"]).read_text()

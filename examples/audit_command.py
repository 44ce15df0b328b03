"""A program that audits a directory: ``python audit_command.py DIRECTORY [FILES_PER_SECOND]``.

It prints a line of JSON for each file; the last line is the report.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from auditing import AuditRequest, audit_directory


def report_progress(number: int, total: int, name: str) -> None:
    progress = {"completed": number, "total": total, "unit": "files"}
    print(json.dumps({"progress": progress, "message": f"hashing {name}"}), flush=True)


def main() -> None:
    directory = Path(sys.argv[1])
    if not directory.is_dir():
        sys.exit(f"{directory} is not a directory on this machine")
    limit = {"files_per_second": sys.argv[2]} if len(sys.argv) > 2 else {}
    request = AuditRequest.model_validate({"directory": directory, **limit})
    print(audit_directory(request, report_progress).model_dump_json())


if __name__ == "__main__":
    main()

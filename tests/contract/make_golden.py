"""Write the golden files that are not there yet: ``python -m tests.contract.make_golden``.

A file that stands is never written again: workers of other people test themselves against it. To
add a case, append it to a table and run this; where a file or a line of the index would change,
nothing is written at all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.schemas import WRITTEN

from .golden_messages import CASES, Case
from .golden_variants import UNREADABLE, VARIANTS

GOLDEN = Path(__file__).parents[2] / "kafka_bridge" / "schemas" / "golden" / "v1"
INDEX = "cases.json"
SCHEMA_FILES = {
    "JobRequest": "job_request.avsc",
    "StatusEvent": "status_event.avsc",
    "JobCommand": "job_command.avsc",
}


class WouldChange(Exception):
    """A golden file stands already, with other content."""


def golden_files() -> dict[str, bytes]:
    """Return every golden file's content by name, the index not among them."""
    files = {
        f"{case.name}.{encoding.value}": encode(case.message, encoding)
        for case in CASES
        for encoding in (Encoding.AVRO, Encoding.JSON)
    }
    files |= {variant.file: variant.value for variant in VARIANTS}
    files |= {unreadable.file: unreadable.value for unreadable in UNREADABLE}
    return files


def golden_index() -> dict[str, Any]:
    """Return what ``cases.json`` says of the files."""
    return {
        "schemas": {
            message_type.__name__: {
                "file": SCHEMA_FILES[message_type.__name__],
                "fingerprint": schema.fingerprint.hex(),
            }
            for message_type, schema in WRITTEN.items()
        },
        "cases": [_entry(case) for case in CASES],
        "also_readable": [
            {"file": v.file, "same_as": v.same_as, "description": v.description} for v in VARIANTS
        ],
        "unreadable": [
            {"file": u.file, "message": u.message_type.__name__, "description": u.description}
            for u in UNREADABLE
        ],
    }


def _entry(case: Case) -> dict[str, str]:
    return {
        "name": case.name,
        "message": type(case.message).__name__,
        "description": case.description,
        "avro": f"{case.name}.avro",
        "json": f"{case.name}.json",
    }


def write_new(folder: Path) -> list[str]:
    """Write the files that ``folder`` lacks, bring its index up to date, and return their names.

    :raises WouldChange: a file that stands there would change; then nothing was written
    """
    files = golden_files()
    for name, content in files.items():
        standing = folder / name
        if standing.exists() and standing.read_bytes() != content:
            raise WouldChange(f"{name} stands with other content: golden files never change")
    index = golden_index()
    _check_index(folder / INDEX, index)
    new = [name for name in files if not (folder / name).exists()]
    for name in new:
        (folder / name).write_bytes(files[name])
    text = json.dumps(index, ensure_ascii=False, indent=2) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")
    return new


def _check_index(standing: Path, index: dict[str, Any]) -> None:
    if not standing.exists():
        return
    released = json.loads(standing.read_text(encoding="utf-8"))
    if released["schemas"] != index["schemas"]:
        raise WouldChange("a fingerprint would change: a released schema is frozen")
    for section in ("cases", "also_readable", "unreadable"):
        lost = [entry for entry in released[section] if entry not in index[section]]
        if lost:
            raise WouldChange(f"{INDEX}: {lost[0]} would change or go")


def main() -> int:
    """Write what is missing, and say what was written."""
    try:
        new = write_new(GOLDEN)
    except WouldChange as error:
        sys.stderr.write(f"nothing written: {error}\n")
        return 1
    sys.stdout.write("".join(f"{name}\n" for name in new) or "nothing is missing\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The job types that a worker under test offers, and the names of its variables.

docs/how-to/check-a-worker.md says exactly what each one does.
"""

from __future__ import annotations

ECHO = "test.echo"
BYTES = "test.bytes"
SLEEP = "test.sleep"
PROGRESS = "test.progress"
FAIL = "test.fail"
CRASH = "test.crash"

JOB_TYPES = (ECHO, BYTES, SLEEP, PROGRESS, FAIL, CRASH)

NOTES = "KAFKA_BRIDGE_CONFORMANCE_NOTES"
"""The file to which each handler appends a line when it is called and when it returns."""
ENCODING = "KAFKA_BRIDGE_CONFORMANCE_ENCODING"
"""The encoding of the run; a worker that answers in the encoding of the request can ignore it."""

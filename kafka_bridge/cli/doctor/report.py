"""Run checks one after the other, each for a limited time, and print what they find."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from queue import Empty, Queue
from typing import TextIO

import typer

from kafka_bridge.findings import Check, Finding, Level, error, failed
from kafka_bridge.protocol.sanitize import one_line

MORE_TIME = "Look at what does not answer, or allow more time with --timeout."
MARKS = {Level.OK: "✓", Level.WARNING: "!", Level.ERROR: "✗"}


def report(checks: Iterable[Check], timeout: float, *, as_json: bool) -> None:
    """Run checks and print their findings; exit with code 1 if one is an error.

    :param checks: each is run before the next one is taken
    :param timeout: seconds for all checks together
    :param as_json: print one JSON document instead of a line for each finding
    :raises typer.Exit: a finding is an error
    """
    out = sys.stdout
    levels = Counter[Level]()
    documents = []
    with _quiet():
        for check, finding in _run(checks, timeout):
            levels[finding.level] += 1
            if as_json:
                documents.append({"check": check.subject, **asdict(finding)})
            else:
                _write(out, f"{_mark(finding.level, out)} {check.subject}: {_text(finding)}")
    errors, warnings = levels[Level.ERROR], levels[Level.WARNING]
    if as_json:
        summary = {"errors": errors, "warnings": warnings, "findings": documents}
        _write(out, json.dumps(summary, indent=2))
    else:
        _write(out, f"{_count(errors, 'error')}, {_count(warnings, 'warning')}.")
    if errors:
        raise typer.Exit(1)


def _run(checks: Iterable[Check], timeout: float) -> Iterator[tuple[Check, Finding]]:
    deadline = time.monotonic() + timeout
    for check in checks:
        # A slow check leaves time for the others.
        seconds = min(timeout / 2, deadline - time.monotonic())
        if seconds <= 0:
            yield check, error(f"not checked: {timeout:g} s were over", MORE_TIME)
            continue
        for finding in findings(check, seconds):
            yield check, finding


def findings(check: Check, seconds: float) -> Iterator[Finding]:
    """Yield what a check finds within a time. It runs on a thread of its own.

    :param seconds: after this time the check is left alone
    """
    found: Queue[Finding | None] = Queue()
    threading.Thread(
        target=_put_findings, args=(check, seconds, found), name="kafka-bridge-check", daemon=True
    ).start()
    deadline = time.monotonic() + seconds
    while True:
        try:
            finding = found.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            yield error(f"no answer within {seconds:.3g} s", MORE_TIME)
            return
        if finding is None:
            return
        yield finding


def _put_findings(check: Check, seconds: float, found: Queue[Finding | None]) -> None:
    try:
        for each in check.run(seconds):
            found.put(each)
    except Exception as failure:
        found.put(failed(failure))
    finally:
        found.put(None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep logs, and what other code prints, out of the report."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _text(finding: Finding) -> str:
    if not finding.advice:
        return one_line(finding.text)
    return f"{one_line(finding.text).rstrip('.')}. {one_line(finding.advice)}"


def _mark(level: Level, out: TextIO) -> str:
    """Return a sign on a terminal that has it, otherwise a word of the same width in all lines."""
    is_utf8 = (out.encoding or "").lower().replace("-", "") == "utf8"
    return MARKS[level] if out.isatty() and is_utf8 else f"{level:7}"


def _write(out: TextIO, text: str) -> None:
    encoding = out.encoding or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    out.write(f"{shown}\n")
    out.flush()


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"

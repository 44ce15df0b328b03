"""Log lines: for people and for machines, with the job and without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_bridge.logs import LogFormat, formatter
from kafka_bridge.protocol.messages import JobRequest, utc_now
from kafka_bridge.worker.logs import job_fields, job_logging

log = logging.getLogger("a.service")


def job(number: int) -> JobRequest:
    """Return one of several jobs."""
    return JobRequest(
        correlation_id=f"0d3b9a52-61f4-4c0e-9b7d-{number:012}",
        job_type=f"type.{number}",
        response_topic="answers",
        created_at=utc_now(),
    )


@contextlib.contextmanager
def written(log_format: LogFormat) -> Iterator[io.StringIO]:
    """Collect what the service logs inside the block, in the given format."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(log_format))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        log.removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return JSON lines as what they say."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line_in_full() -> None:
    """One object a line, with time, level, logger, message, the job and what the caller adds."""
    with written(LogFormat.JSON) as stream, job_logging(job(1)):
        log.warning("größer als %d\nZeilen", 3, extra={"table": "t", "what": {1}})
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "a.service",
        "message": "größer als 3\nZeilen",
        "correlation_id": job(1).correlation_id,
        "job_type": "type.1",
        "table": "t",
        "what": "{1}",
    }


def test_text_line_in_full() -> None:
    """A person reads the message first, then the rest."""
    with written(LogFormat.TEXT) as stream, job_logging(job(1)):
        log.info("done with %s", "it")
    _, level, rest = stream.getvalue().split(maxsplit=2)
    assert level == "[info"
    assert rest == (
        f"] done with it [a.service] correlation_id={job(1).correlation_id} job_type=type.1\n"
    )


def test_no_line_outside_has_the_job() -> None:
    """The fields end with the block, also when it fails; a line may name its job by itself."""
    with written(LogFormat.JSON) as stream:
        with contextlib.suppress(RuntimeError), job_logging(job(1)):
            raise RuntimeError
        log.info("outside")
        log.info("about", extra=job_fields(job(2)))
    outside, about = lines(stream)
    assert "correlation_id" not in outside
    assert about["correlation_id"] == job(2).correlation_id


def test_threads_and_tasks_keep_their_own_jobs() -> None:
    """Jobs on threads, and handlers on one event loop for all, never take each other's fields."""
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    together = threading.Barrier(8)

    async def handler(number: int) -> None:
        for _ in range(5):
            log.info("%d", number)
            await asyncio.sleep(0)
        await asyncio.to_thread(log.info, "%d", number)

    def run(number: int) -> None:
        with job_logging(job(number)):
            together.wait()
            log.info("%d", number)
            asyncio.run_coroutine_threadsafe(handler(number), loop).result()

    with written(LogFormat.JSON) as stream:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.close()
    said = lines(stream)
    assert len(said) == 8 * 7
    assert [line for line in said if line["job_type"] != f"type.{line['message']}"] == []


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_traceback_shows_no_local_variables(log_format: LogFormat) -> None:
    """A password in a frame of the traceback is not logged, as structlog's own defaults would."""

    def connect() -> None:
        password = "hunter" + "2"
        raise ConnectionError(f"refused after {len(password)} tries")

    with written(log_format) as stream:
        try:
            connect()
        except ConnectionError:
            log.exception("No luck")
    assert "ConnectionError: refused after 7 tries" in stream.getvalue()
    assert "in connect" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


PROGRAM = """
import logging, warnings
import structlog
from kafka_bridge.logs import LogFormat, LogLevel, set_up_logging
set_up_logging(LogLevel.INFO, LogFormat.JSON)
logging.getLogger("standard").info("one")
logging.getLogger("standard").debug("not this one")
structlog.get_logger("struct").info("two", number=2)
structlog.get_logger("struct").debug("nor this one")
warnings.warn("three")
"""


@pytest.mark.slow
def test_all_logging_of_a_process_is_set_up() -> None:
    """Both libraries' lines and Python's warnings go to standard error in one form."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    one, two, three = (json.loads(line) for line in result.stderr.splitlines())
    assert (one["logger"], one["message"]) == ("standard", "one")
    assert (two["logger"], two["message"], two["number"]) == ("struct", "two", 2)
    assert (three["logger"], three["level"]) == ("py.warnings", "warning")
    assert "three" in three["message"]
    assert result.stdout == ""


HOSTILE = "bad\n2026-01-01 [info] forged\x1b[2J\x00 \u202eabc\ud800 \x9b31m\r\U000e0041"


def test_text_from_outside_forges_no_line_and_moves_no_cursor() -> None:
    """Newlines, escape codes and marks in a message, in a value or in an error are shown."""
    with written(LogFormat.TEXT) as stream:
        log.warning("Refused: %s", HOSTILE, extra={"reason": HOSTILE, "list": [HOSTILE]})
        log.error("Broken", exc_info=ValueError(HOSTILE))
    text = stream.getvalue()
    assert not set(text) & set("\x1b\x00\u202e\ud800\x9b\r\U000e0041")
    begun = [line for line in text.splitlines() if not line.startswith("    ")]
    assert len(begun) == 2
    assert "\n    2026-01-01 [info] forged\\x1b[2J\\x00 \\u202eabc" in text
    assert r"reason='bad\\n2026-01-01" in text
    assert "\n    ValueError: bad\n    2026-01-01 [info] forged" in text


def test_json_from_outside_is_escaped_and_the_same() -> None:
    """Whoever parses the line gets the value as it was; a terminal that shows it does nothing."""
    with written(LogFormat.JSON) as stream:
        log.warning("Refused", extra={"nested": {"reason": HOSTILE}, "size": "x" * 1_000_000})
    text = stream.getvalue()
    assert not set(text) & set("\x1b\x00\u202e\ud800\x9b\r\U000e0041")
    (line,) = lines(stream)
    assert line["nested"] == {"reason": HOSTILE}
    assert "1,000,000 bytes in all" in line["size"]
    assert len(text) < 50_000

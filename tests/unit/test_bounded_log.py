"""Lines that foreign records cause: few, short, and the others are counted."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.bounded_log import LineBudget, bounded_logger

if TYPE_CHECKING:
    from conftest import Eventually

SECONDS = 0.2


@pytest.fixture
def log(unique_name: Callable[[str], str], caplog: pytest.LogCaptureFixture) -> logging.Logger:
    """Give a logger that writes three lines of a kind in each interval."""
    caplog.set_level(logging.DEBUG)
    return bounded_logger(unique_name("log"), lines=3, interval=SECONDS)


def test_flood_becomes_a_few_lines_and_a_count(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """The first three of an interval are whole; one more says how many were left out."""
    began = time.monotonic()
    for number in range(20_000):
        log.error("Record %d is bad", number)
    intervals = 1 + (time.monotonic() - began) / SECONDS

    def left_out() -> int:
        return sum(getattr(each, "left_out", 0) for each in caplog.records)

    def whole() -> int:
        return sum(not hasattr(each, "left_out") for each in caplog.records)

    eventually(lambda: left_out() + whole() == 20_000, "every line is written or counted")
    assert caplog.messages[:3] == ["Record 0 is bad", "Record 1 is bad", "Record 2 is bad"]
    assert whole() <= 3 * (intervals + 1)
    summary = next(each for each in caplog.records if hasattr(each, "left_out"))
    assert re.search(
        r"\d+ more lines like this one were left out in \d\.\d s: Record 3 is bad",
        summary.getMessage(),
    )
    assert summary.levelno == logging.ERROR


@pytest.mark.slow
def test_end_of_the_process_does_not_lose_the_count() -> None:
    """Lines that were left out are counted also where no interval ends any more."""
    program = (
        "from kafka_bridge.bounded_log import bounded_logger\n"
        "log = bounded_logger('x')\n"
        "for number in range(25): log.error('Bad: %d', number)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert len(ended.stderr.splitlines()) == 11
    assert "15 more lines like this one were left out" in ended.stderr.splitlines()[-1]


def test_next_interval_has_a_budget_of_its_own(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """What happens later is seen as well, and few lines have no summary."""
    log.warning("Bad: %s", "a")
    time.sleep(1.5 * SECONDS)
    for each in "bcd":
        log.warning("Bad: %s", each)
    assert caplog.messages == ["Bad: a", "Bad: b", "Bad: c", "Bad: d"]


def test_summary_of_forgotten_lines_is_not_logged_for_later_ones(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """It would count none, and give the later lines a new budget before their interval ends."""
    before = set(threading.enumerate())
    for each in "abcd":
        log.warning("Bad: %s", each)
    (timer,) = set(threading.enumerate()) - before
    (budget,) = [each for each in log.filters if isinstance(each, LineBudget)]
    budget.forget()
    log.warning("Bad: %s", "e")
    eventually(lambda: not timer.is_alive(), "the interval has ended")
    assert caplog.messages == ["Bad: a", "Bad: b", "Bad: c", "Bad: e"]


def test_kinds_of_lines_do_not_share_a_budget(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A flood of one kind does not hide the first line of another."""
    for number in range(10):
        log.warning("Bad: %d", number)
    log.warning("The broker is away")
    assert caplog.messages[-1] == "The broker is away"


def test_line_is_cut_and_cleaned(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """A text of megabytes, or one with escape codes, is neither written nor acted upon."""
    log.error("Bad: %s", "\x1b[31m\n" + "x" * 3_000_000)
    (line,) = caplog.messages
    assert line.startswith(r"Bad: \x1b[31m\nxxx")
    assert len(line) <= 2_000
    assert "(cut, 3,000,011 bytes in all)" in line


def test_debug_lines_are_not_limited(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """Who asks for all gets all."""
    for number in range(10):
        log.debug("Seen: %d", number)
    assert len(caplog.messages) == 10


def test_line_costs_its_writer_nothing_where_no_thread_can_be_started(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a process, say: whoever logs goes on, and later lines are written again."""

    def refuse(_: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    for number in range(5):
        log.error("Record %d is bad", number)
    assert len(caplog.messages) == 3
    time.sleep(SECONDS)
    log.error("Record %d is bad", 5)
    assert caplog.messages[3:] == ["Record 5 is bad"]

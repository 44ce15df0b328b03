"""When a child process tells its worker what a handler logs."""

from __future__ import annotations

import logging

from kafka_bridge.protocol.log_lines import LogLine
from kafka_bridge.testing import FakeClock
from kafka_bridge.worker.processes import reports as module
from kafka_bridge.worker.processes.messages import Logged, RunJob
from kafka_bridge.worker.processes.reports import Reports
from unit.clocks import clock_of

from ..samples import request


class Link:
    """Keeps what is sent, if it is free."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.is_free = True

    def send(self, message: object) -> None:
        """Keep a message."""
        self.sent.append(message)

    def send_if_free(self, message: object) -> bool:
        """Keep a message, or not."""
        if self.is_free:
            self.send(message)
        return self.is_free


clock = clock_of(module)


def test_last_lines_are_sent_at_once_and_the_others_once_a_second(clock: FakeClock) -> None:
    """A handler may crash after any line; a line that interrupts another message is sent later."""
    link = Link()
    reports = Reports(RunJob(1, request(), (), 1, None, None, "INFO"), link)
    assert reports.lines is not None
    said = [LogLine("INFO", f"line {number}") for number in range(3)]

    def log(number: int) -> None:
        assert reports.lines is not None
        text = f"line {number}"
        reports.lines.add(logging.LogRecord("service", logging.INFO, "", 1, text, (), None))

    clock.advance(10.0)
    reports.send_due_lines()
    assert link.sent == [], "nothing was logged"
    log(0)
    log(1)
    assert link.sent == [Logged((), (said[0],))]
    reports.send_due_lines()
    assert link.sent[1:] == [Logged(tuple(said[:2]), tuple(said[:2]))]
    clock.advance(0.2)
    link.is_free = False
    log(2)
    assert len(link.sent) == 2
    reports.send_due_lines()
    assert link.sent[2:] == [Logged((), tuple(said))]
    clock.advance(1.0)
    reports.send_due_lines()
    reports.send_unsent()
    assert link.sent[3:] == [Logged((said[2],), tuple(said))]

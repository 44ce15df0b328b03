"""Calls that other threads leave for the polling thread."""

from __future__ import annotations

import threading
import time

from kafka_bridge.worker.runtime.mailbox import Mailbox


def test_calls_run_in_order_with_their_arguments() -> None:
    """On the thread that asks for them, not on the one that added them."""
    mailbox, done = Mailbox(), list[tuple[int, int]]()

    def note(number: int) -> None:
        done.append((number, threading.get_ident()))

    for number in range(3):
        other = threading.Thread(target=mailbox.call_soon, args=(note, number))
        other.start()
        other.join()
    assert done == []
    mailbox.run_pending()
    assert done == [(number, threading.get_ident()) for number in range(3)]
    mailbox.run_pending()
    assert len(done) == 3


def test_call_that_is_added_by_a_call_runs_in_the_same_round() -> None:
    """The polling thread does not sleep over it."""
    mailbox, done = Mailbox(), list[str]()
    mailbox.call_soon(lambda: mailbox.call_soon(done.append, "second"))
    mailbox.run_pending()
    assert done == ["second"]


def test_wait_ends_when_a_call_arrives() -> None:
    """Also if the call came before the wait; without a call, it lasts its time."""
    mailbox = Mailbox()
    began = time.monotonic()
    mailbox.wait(0.05)
    assert time.monotonic() - began >= 0.05
    threading.Timer(0.05, mailbox.call_soon, (list,)).start()
    mailbox.wait(60)
    mailbox.wait(60)
    assert time.monotonic() - began < 30
    mailbox.run_pending()
    mailbox.wait(0.01)

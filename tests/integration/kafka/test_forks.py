"""Clients in a forked child: they do nothing there, and go on in the parent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from integration.jobs import WAIT_SECONDS
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory

TESTS = Path(__file__).parents[2]


def test_inherited_clients_neither_send_nor_block(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """A child that closes and drops them exits with its own code; the parent is not affected.

    An inherited producer raises an error instead of accepting records that would not be sent.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "integration.kafka.forking",
            real_broker.bootstrap_servers,
            topics(partitions=1),
        ],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, code, parent = done.stdout.splitlines()
    assert said.startswith("child: nothing is sent to topic ")
    assert "Create a producer in the child process" in said
    assert (code, parent) == ("exit code 3", "the parent's clients work")

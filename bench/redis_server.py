"""A Redis for the bench's peers: the system's `redis-server`, on loopback, in memory only."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from kafka_bridge.testing.ports import free_port

START_SECONDS = 20.0


class NoRedis(RuntimeError):
    """There is no ``redis-server``."""


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a Redis inside the block; give its URL.

    :raises NoRedis: ``redis-server`` is not installed
    """
    program = shutil.which("redis-server")
    if program is None:
        raise NoRedis(
            "redis-server is not installed; on Debian and Ubuntu: apt install redis-server"
        )
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)
            else:
                return

"""A service that speaks HTTP only, and the gateway before it: each a process of its own."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from kafka_bridge.testing.brokers.ports import free_port
from kafka_bridge.testing.local_airflow.processes import ManagedProcess

GATEWAY_TOPIC = "gateway.requests"
CALLBACK_TOPIC = "jobs.callbacks"
EXAMPLES = Path(__file__).parents[1] / "examples"
SERVICE_PORT, CALLBACK_PORT = "8000", "8080"
"""What the example has; the demo takes ports that are free instead."""


def http_service(home: Path, port: int) -> ManagedProcess:
    """Return the example's service, not started, as its own people would run it."""
    command = ["uvicorn", "http_service:app", "--app-dir", str(EXAMPLES), "--port", str(port)]
    return _process("http_service", command, os.environ, home)


def gateway(home: Path, servers: str, service_port: int) -> ManagedProcess:
    """Return the example's gateway, not started, which has the service on that port do jobs."""
    text = (EXAMPLES / "gateway.yaml").read_text(encoding="utf-8")
    ours = {SERVICE_PORT: service_port, CALLBACK_PORT: free_port()}
    for example, port in ours.items():
        text = text.replace(example, str(port))
    file = home / "gateway.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    env = {
        **os.environ,
        "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": servers,
        "CALLBACK_SECRET": secrets.token_hex(32),
    }
    return _process("gateway", ["kafka_bridge", "gateway", "run", str(file)], env, home)


def _process(name: str, module: list[str], env: Mapping[str, str], home: Path) -> ManagedProcess:
    return ManagedProcess(
        name,
        [sys.executable, "-m", *module],
        env=env,
        cwd=EXAMPLES.parent,
        log_path=home / f"{name}.log",
    )

"""The processes of the HTTP service and of its gateway."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.ports import free_port

GATEWAY_TOPIC = "gateway.requests"
CALLBACK_TOPIC = "jobs.callbacks"
EXAMPLES = Path(__file__).parents[1] / "examples"
SERVICE_PORT, CALLBACK_PORT = "8000", "8080"
"""The ports of the example; the demo uses free ports instead."""


def http_service(home: Path, port: int) -> ManagedProcess:
    """Return the example's service, not started."""
    command = ["uvicorn", "http_service:app", "--app-dir", str(EXAMPLES), "--port", str(port)]
    return _process("http_service", command, os.environ, home)


def gateway(home: Path, servers: str, service_port: int) -> ManagedProcess:
    """Return the example's gateway, not started, for the service on that port."""
    text = (EXAMPLES / "gateway.yaml").read_text(encoding="utf-8")
    ports = {SERVICE_PORT: service_port, CALLBACK_PORT: free_port()}
    for example, port in ports.items():
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

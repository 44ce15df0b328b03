"""Files of a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.yaml_file import load
from kafka_bridge.protocol.errors import ConfigurationError

Load = Callable[[str], GatewayConfig]
Refusal = Callable[[str], str]


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Give a function that loads a text as the file gateway.yaml of the current folder."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str) -> GatewayConfig:
        Path("gateway.yaml").write_text(text, encoding="utf-8")
        return load(Path("gateway.yaml"))

    return load_text


@pytest.fixture
def refusal(load_text: Load) -> Refusal:
    """Give a function that returns what is said of a text that is refused."""

    def refusal(text: str) -> str:
        with pytest.raises(ConfigurationError) as refused:
            load_text(text)
        return str(refused.value)

    return refusal

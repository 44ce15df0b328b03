"""The command line: ``kafka-bridge topics | worker | jobs | broker``."""

from __future__ import annotations

from kafka_bridge.cli.app import main

__all__ = ["main"]

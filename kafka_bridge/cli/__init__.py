"""The command line: ``kafka-bridge topics | worker | gateway | jobs | dead-letters | broker``."""

from __future__ import annotations

from kafka_bridge.cli.app import main

__all__ = ["main"]

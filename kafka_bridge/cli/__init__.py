"""The command line: ``kafka-bridge worker | gateway | topics | jobs | doctor | …``."""

from __future__ import annotations

from kafka_bridge.cli.app import main

__all__ = ["main"]

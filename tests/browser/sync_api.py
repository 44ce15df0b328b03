"""Playwright, which only `make test-browser` installs: without it, these tests are skipped."""

from __future__ import annotations

import pytest
from conftest import in_ci

if not in_ci():
    pytest.importorskip("playwright.sync_api", reason="`make test-browser` runs these tests")

from playwright.sync_api import (
    APIRequestContext,
    Browser,
    ConsoleMessage,
    Dialog,
    Error,
    FrameLocator,
    Page,
    Route,
    expect,
    sync_playwright,
)

__all__ = [
    "APIRequestContext",
    "Browser",
    "ConsoleMessage",
    "Dialog",
    "Error",
    "FrameLocator",
    "Page",
    "Route",
    "expect",
    "sync_playwright",
]

"""Starts the Chromium of the system: for the pictures of pages, and for the tests of the board."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update"]


def launch(playwright: Playwright) -> Browser:
    """Start the browser. The variable ``CHROMIUM`` names another one than Debian's.

    Playwright's own browsers are neither needed nor downloaded.
    """
    return playwright.chromium.launch(
        executable_path=CHROMIUM, args=QUIET, chromium_sandbox=os.geteuid() != 0
    )

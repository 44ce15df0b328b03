"""The server that runs Airflow's API."""

from __future__ import annotations

import signal


def is_stopping() -> bool:
    """Return whether the server was told to stop.

    It waits for open answers first, and a stream of events would go on for minutes. A mounted
    application has no other way to know: uvicorn, also inside gunicorn, handles the signal with a
    method of its server.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))

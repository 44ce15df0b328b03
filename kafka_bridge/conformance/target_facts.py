"""What the kit asks of each worker that it starts."""

SLOTS = 2
"""How many jobs the worker is asked to run at the same time."""
GRACE_SECONDS = 1.0
"""How long it is asked to let running jobs continue after SIGTERM."""

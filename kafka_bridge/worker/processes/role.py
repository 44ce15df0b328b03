"""Whether this process is a child of a worker, which runs its handlers."""

from __future__ import annotations

from kafka_bridge.protocol.errors import ConfigurationError

_is_child = False


def become_child() -> None:
    """Note that this process is a child."""
    global _is_child  # noqa: PLW0603  it is the process's
    _is_child = True


def refuse_in_child() -> None:
    """Return if this process may run a worker.

    :raises ConfigurationError: it is a child, which has just imported the program
    """
    if _is_child:
        raise ConfigurationError(
            "the program runs its worker while it is imported, and child processes import it, too. "
            'Put the call of run() below: if __name__ == "__main__":'
        )
